"""A small certificate world for tests: roots, server and client certificates, requests; made without any program."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A root and what it signs."""

    def __init__(self, common_name: str = "Test root") -> None:
        self.key = ec_key()
        self.name = name(common_name)
        self.root = self._make(self.name, self.key, 365, is_ca=True)

    @property
    def root_pem(self) -> bytes:
        return pem(self.root)

    def server(self, key: Key | None = None) -> bytes:
        """Certificate and key in one PEM, as a listener's credential."""
        return self._leaf("edgectl.test", key or ec_key(), 30, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, common_name: str, *, days: int = 30, key: Key | None = None) -> bytes:
        """The same for a charger; ``days`` below 0 for one that has expired."""
        return self._leaf(common_name, key or ec_key(), days, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(self, common_name: str, key: Key, days: int, usage: x509.ObjectIdentifier) -> bytes:
        return pem(self._make(name(common_name), key, days, usage=usage)) + key_pem(key)

    def _make(
        self, subject: x509.Name, key: Key, days: int, *, is_ca: bool = False, usage: x509.ObjectIdentifier | None = None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def request(common_name: str, key: Key | None = None, *, wants_ca: bool = False) -> str:
    """A certificate signing request, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common_name))
    if wants_ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key or ec_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
