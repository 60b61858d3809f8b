"""The credentials of the connection: those on the disk, or the last that were good while those are not."""

from __future__ import annotations

from collections.abc import Mapping

from edgectl.domain.settings import CredentialReader, MqttSettings
from edgectl.uplink.access import client_context, failure_words, read_password


class Keyring:
    """A file that is half written, or missing for a moment, ends no connection: what it held is kept in memory."""

    def __init__(self, settings: MqttSettings, credentials: CredentialReader) -> None:
        self._settings = settings
        self._credentials = credentials
        self._good: Mapping[str, bytes] | None = None
        self.problem = ""
        """Why those on the disk cannot be used; empty while they can."""

    @property
    def is_falling_back(self) -> bool:
        """Others are used than those on the disk."""
        return bool(self.problem) and self._good is not None

    def look(self) -> bool:
        """Read the disk; True when there are others to use than before."""
        names = (self._settings.client_certificate, self._settings.ca_certificate, self._settings.password)
        try:
            found = {name: self._credentials(name) for name in names if name is not None}
            if found != self._good:
                self._try_out(found)
        except (KeyError, ValueError) as error:
            self.problem = failure_words(error)
            return False
        is_news = found != self._good
        self._good, self.problem = found, ""
        return is_news

    def read(self, name: str) -> bytes:
        """A ``CredentialReader``. Raises KeyError with the reason where there never were good ones."""
        if self._good is None:
            raise KeyError(self.problem)
        return self._good[name]

    def _try_out(self, found: Mapping[str, bytes]) -> None:
        """Raises ValueError. What the broker thinks of them is another matter."""
        read_password(self._settings, found.__getitem__)
        if any(broker.is_tls for broker in self._settings.brokers):
            client_context(self._settings, found.__getitem__)
