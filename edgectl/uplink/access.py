"""Credentials for the broker, and the words for a connection that was not made. No secret is ever in the words."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

from edgectl.domain.settings import CredentialReader, MqttSettings


class ClientContext(ssl.SSLContext):
    """Remembers the socket it made, because paho does not close it when the handshake fails."""

    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        self.wrapped = super().wrap_socket(*arguments, **options)
        return self.wrapped

    def close_wrapped(self) -> None:
        if self.wrapped is not None:
            self.wrapped.close()


def client_context(settings: MqttSettings, credentials: CredentialReader) -> ClientContext:
    """TLS 1.2 or later with the broker's name checked, and our certificate if there is one.

    Raises:
        KeyError: a credential is missing.
        ValueError: a credential is not what it should be.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_certificate is None:
        context.load_default_certs()
    else:
        name = settings.ca_certificate
        try:
            context.load_verify_locations(cadata=credentials(name).decode("ascii"))
        except (ssl.SSLError, ValueError):  # not text, or empty
            raise ValueError(f"credential {name!r} is not a PEM certificate") from None
    if settings.client_certificate is not None:
        name = settings.client_certificate
        pem = credentials(name)
        # The ssl module reads keys from files only. This one has no name and never reaches a disk.
        descriptor = os.memfd_create("client-certificate")
        try:
            os.write(descriptor, pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        except ssl.SSLError:
            raise ValueError(f"credential {name!r} is not a PEM certificate with its key") from None
        finally:
            os.close(descriptor)
    return context


def read_password(settings: MqttSettings, credentials: CredentialReader) -> str | None:
    """Raises KeyError or ValueError like ``client_context``."""
    if settings.password is None:
        return None
    try:
        return credentials(settings.password).decode()
    except UnicodeDecodeError:
        raise ValueError(f"credential {settings.password!r} is not text") from None


def failure_words(error: OSError | ValueError | KeyError) -> str:
    """Why no connection was made."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"the broker's certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case socket.gaierror():
            return "the broker's name cannot be resolved"
        case TimeoutError():
            return "the broker cannot be reached: timed out"
        case OSError():
            return f"the broker cannot be reached: {error.strerror or error}"
        case KeyError():
            return str(error.args[0]) if error.args else "a credential is missing"
        case _:
            return str(error)
