"""Who may charge when the server is not asked: the local list (block D), the cache (C10 to C12) and the rules for both."""

from __future__ import annotations

import json
from typing import Any

from hwsim.models.ocpp2.device_model import DeviceModel

_LENGTH = "LocalAuthListCtrlr.Entries"


class Tokens:
    """``listed`` is the local list: token and status. ``version`` is 0 until the server has sent one."""

    def __init__(self, device: DeviceModel, known: frozenset[str]) -> None:
        self.listed = dict.fromkeys(sorted(known), "Accepted")
        self.version = 0
        self.list_messages: list[str] = []
        """Of those that were not too large."""
        self._cached: set[str] = set()
        self._device = device
        self._device.put(_LENGTH, str(len(self.listed)))

    @property
    def known(self) -> frozenset[str]:
        return frozenset(token for token, status in self.listed.items() if status == "Accepted")

    def is_known(self, token: str) -> bool:
        """The list goes before the cache: a token blocked there is blocked."""
        if self._device.flag("LocalAuthListCtrlr.Enabled") and token in self.listed:
            return self.listed[token] == "Accepted"
        return self._device.flag("AuthCacheCtrlr.Enabled") and token in self._cached

    def needs_no_asking(self, token: str) -> bool:
        """Known drivers need not wait for the server (C14)."""
        return self._device.flag("AuthCtrlr.LocalPreAuthorize") and self.is_known(token)

    def charges_offline(self, token: str) -> bool:
        """C13 and C15."""
        if self._device.flag("AuthCtrlr.LocalAuthorizeOffline") and self.is_known(token):
            return True
        is_refused = token in self.listed and not self.is_known(token)
        return self._device.flag("AuthCtrlr.OfflineTxForUnknownIdEnabled") and not is_refused

    def note(self, token: str, status: str) -> None:
        """What the server said of it."""
        if status == "Accepted":
            self._cached.add(token)
        else:
            self._cached.discard(token)

    def clear_cache(self) -> str:
        if not self._device.flag("AuthCacheCtrlr.Enabled"):
            return "Rejected"
        self._cached.clear()
        return "Accepted"

    def send_list(self, payload: dict[str, Any]) -> str:
        """The status of SendLocalList."""
        entries = payload.get("localAuthorizationList", [])
        is_full = payload["updateType"] == "Full"
        if not self._device.flag("LocalAuthListCtrlr.Enabled") or payload["versionNumber"] <= 0:
            return "Failed"
        if len(entries) > self._device.number("LocalAuthListCtrlr.ItemsPerMessage"):
            return "Failed"
        if len(json.dumps(payload)) > self._device.number("LocalAuthListCtrlr.BytesPerMessage"):
            return "Failed"
        self.list_messages.append(payload["updateType"])
        if not is_full and payload["versionNumber"] <= self.version:
            return "VersionMismatch"
        if is_full:
            self.listed = {}
        for entry in entries:
            token = entry["idToken"]["idToken"]
            self.listed.pop(token, None)  # without idTokenInfo an entry of a differential update deletes
            if "idTokenInfo" in entry:
                self.listed[token] = entry["idTokenInfo"]["status"]
        self.version = payload["versionNumber"]
        self._device.put(_LENGTH, str(len(self.listed)))
        return "Accepted"
