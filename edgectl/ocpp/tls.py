"""TLS of a listener: its context from credentials, the handshake, and what went wrong with one, in words.

The handshake is ours to await rather than left to the event loop, which would drop a failed one without telling anybody. Whoever
commissions a charger needs to know why it does not get in.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import warnings
from asyncio import sslproto
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from edgectl.domain.settings import CredentialReader, Listener

TLS_PROFILES = frozenset({2, 3})
CERTIFICATE_PROFILE = 3
EARLY_BYTES_MAX = 64 * 1024
"""What may arrive between the end of the handshake and its handover, one turn of the loop; an upgrade request has 1 kB."""

BUFFER_BYTES = 32 * 1024
"""What is kept per connection for bytes that have come and are not decrypted yet: two TLS records. asyncio keeps 256 kB, which
makes 50 MB with 200 chargers; longer messages come in more than one piece."""

_FAILURES = {
    "TLSV1_ALERT_UNKNOWN_CA": "the charger does not trust our certificate (unknown ca)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the charger does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the charger calls our certificate bad",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the charger calls our certificate expired; its clock may be wrong",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the charger cannot use our kind of certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the charger found no common parameters",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the charger refuses our TLS versions",
    "TLSV1_ALERT_DECRYPT_ERROR": "the charger could not verify our signature",
    "TLSV1_ALERT_INTERNAL_ERROR": "the charger reports an internal error",
    "UNSUPPORTED_PROTOCOL": "the charger offers only TLS 1.1 or older; `legacy_tls: true` would let it in",
    "VERSION_TOO_LOW": "the charger offers only TLS 1.1 or older; `legacy_tls: true` would let it in",
    "NO_SHARED_CIPHER": "no cipher in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no signature algorithm in common",
    "NO_SUITABLE_KEY_SHARE": "no key exchange in common",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no client certificate",
    "HTTP_REQUEST": "spoke plain HTTP to a TLS port",
    "HTTPS_PROXY_REQUEST": "spoke plain HTTP to a TLS port",
    "WRONG_VERSION_NUMBER": "what arrived is not TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the charger hung up during the handshake",
}
"""OpenSSL's reasons (openssl/sslerr.h) as sentences."""
_CERTIFICATE_FAILURES = {
    2: "the client certificate is of no authority known here",
    9: "the client certificate is not valid yet; check its clock and ours",
    10: "the client certificate has expired",
    18: "the client certificate is self-signed",
    19: "the client certificate is of no authority known here",
    20: "the client certificate is of no authority known here",
    21: "the client certificate is of no authority known here",
    26: "the client certificate is not made for clients",
}
"""X509_V_ERR_… codes (openssl/x509_vfy.h)."""


def failure_words(problem: BaseException) -> str:
    """Why a handshake failed, for people."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        words = _CERTIFICATE_FAILURES.get(problem.verify_code)
        return f"TLS: {words or f'the client certificate is not valid ({problem.verify_message})'}"
    if isinstance(problem, ssl.SSLError):
        reason = problem.reason or ""
        words = _FAILURES.get(reason)
        return f"TLS: {words or reason.replace('_', ' ').lower() or 'the handshake failed'}"
    if isinstance(problem, ConnectionAbortedError | TimeoutError):
        return "TLS: handshake timed out"
    return "TLS: the charger hung up during the handshake"


def is_client_hello(greeting: bytes) -> bool:
    """Whether a connection begins with a TLS record of type handshake."""
    return greeting[:2] == b"\x16\x03"


def common_name(transport: asyncio.BaseTransport) -> str | None:
    """The subject's common name of the certificate the peer has shown and the handshake has verified."""
    certificate = transport.get_extra_info("peercert") or {}
    for names in certificate.get("subject", ()):
        for kind, value in names:
            if kind == "commonName":
                return str(value)
    return None


class Handover(asyncio.Protocol):
    """What stands behind a handshake until it is over: keeps what arrives early, then lets the true protocol take its place.

    The event loop may deliver the first bytes before the one who awaits the handshake hears of its end.
    """

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._early = bytearray()
        self._hang_up = hang_up
        self.has_ended = False
        self.problem: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > EARLY_BYTES_MAX:
            self._hang_up()

    def eof_received(self) -> None:
        self.has_ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended, self.problem = True, exc

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(bytes(self._early))


def tls_context(
    listener: Listener, credentials: CredentialReader, site_root: Callable[[], bytes | None] = lambda: None
) -> ssl.SSLContext | None:
    """None for a listener without TLS. ``site_root`` gives the PEM root of the site's own authority.

    Raises:
        ValueError: the listener cannot be served as configured; the text says why.
    """
    where = f"listener {listener.host}:{listener.port}"
    if listener.security_profile not in TLS_PROFILES:
        return None
    if not listener.certificates:
        raise ValueError(f"{where}: security profile {listener.security_profile} needs a certificate")
    sslproto.SSLProtocol.max_size = BUFFER_BYTES
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if listener.has_legacy_tls:
        # Old versions sign with SHA-1, which OpenSSL's default security level refuses.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it is a written choice
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    kinds: dict[str, str] = {}
    for name in listener.certificates:
        pem = _read(name, credentials, where)
        kind = _kind_of(pem, name, where)
        if kind in kinds:
            raise ValueError(
                f"{where}: credentials {kinds[kind]!r} and {name!r} are both {kind}; one RSA and one ECDSA can serve"
            )
        kinds[kind] = name
        _load(context, pem, name, where)
    if listener.security_profile == CERTIFICATE_PROFILE:
        _ask_for_certificate(context, listener, credentials, site_root(), where)
    return context


def _ask_for_certificate(
    context: ssl.SSLContext, listener: Listener, credentials: CredentialReader, site_root: bytes | None, where: str
) -> None:
    roots = [(name, _read(name, credentials, where)) for name in listener.client_authorities]
    if site_root is not None:
        roots.append(("of the site's own authority", site_root))
    if not roots:
        raise ValueError(f"{where}: security profile 3 needs `client_authorities`: there is no authority of the site's own")
    for name, pem in roots:
        try:
            context.load_verify_locations(cadata=pem.decode("ascii"))
        except (ssl.SSLError, UnicodeError, ValueError):
            raise ValueError(f"{where}: credential {name!r} holds no PEM certificate") from None
    context.verify_mode = ssl.CERT_REQUIRED


def _read(name: str, credentials: CredentialReader, where: str) -> bytes:
    try:
        return credentials(name)
    except KeyError:
        raise ValueError(f"{where}: there is no credential {name!r}") from None


def _kind_of(pem: bytes, name: str, where: str) -> str:
    try:
        key = x509.load_pem_x509_certificates(pem)[0].public_key()
    except ValueError:
        raise ValueError(f"{where}: credential {name!r} is not a PEM certificate with its key") from None
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECDSA"
    raise ValueError(f"{where}: the key of credential {name!r} is neither RSA nor ECDSA; chargers know no other")


def _load(context: ssl.SSLContext, pem: bytes, name: str, where: str) -> None:
    # The ssl module reads keys from files only. This one has no name and never reaches a disk.
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as problem:
        raise ValueError(f"{where}: credential {name!r} is not a PEM certificate with its key: {problem}") from None
    finally:
        os.close(descriptor)
