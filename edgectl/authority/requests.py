"""Which certificate requests can be signed, and the certificate that is made of one. Pure: no file, no clock, no randomness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgectl.domain.units import UtcMillis

CSR_MAX_CHARS = 5_500
"""OCPP 2.0.1 SignCertificateRequest.csr."""
ROOT_DAYS = 20 * 365
LEAF_DAYS = 365
"""Stations ask for the next one themselves, a month before the end."""
CLOCK_SLACK = timedelta(days=1)
"""A station's clock may be behind ours until its first heartbeat."""
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
"""Beyond this each handshake costs a gateway seconds; no station makes such keys."""
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class BadRequestError(ValueError):
    """The text says why the request cannot be signed."""


def checked_request(pem: str, charger: str, serial: str | None) -> x509.CertificateSigningRequest:
    """The request, if this charger may have a certificate for it.

    Raises:
        BadRequestError: unreadable, not signed with its own key, a weak key, or in somebody else's name.
    """
    if len(pem) > CSR_MAX_CHARS:
        raise BadRequestError(f"the request is longer than {CSR_MAX_CHARS} characters")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
        names = [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except Exception as error:  # whatever a decoder of untrusted bytes raises (its own list is open) is a refusal in words
        raise BadRequestError("not a readable PEM certificate request") from error
    if not is_signed:
        raise BadRequestError("the request is not signed with its own key")
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
            raise BadRequestError(f"an RSA key of {key.key_size} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX} are allowed")
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)):
        raise BadRequestError("the key is neither RSA nor on one of the curves P-256, P-384 and P-521")
    allowed = {charger.casefold(), *([serial.casefold()] if serial else [])}
    if len(names) != 1 or names[0].casefold() not in allowed:
        shown = "".join(char if char.isprintable() else "?" for char in ", ".join(names))[:64]
        raise BadRequestError(
            f"the request is for {shown or 'nobody'!r}, which is neither the charger's id nor its serial number"
        )
    return request


def random_serial(random: Random) -> int:
    """Positive, and at most 20 bytes with its sign (RFC 5280 §4.1.2.2)."""
    return random.getrandbits(158) | 1


def make_root(key: ec.EllipticCurvePrivateKey, site: str, serial: int, now_ms: UtcMillis) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _short(site)),
            x509.NameAttribute(NameOID.COMMON_NAME, _short(f"{site} stations")),
        ]
    )
    return (
        _builder(name, name, key.public_key(), serial, now_ms, ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_leaf(
    request: x509.CertificateSigningRequest,
    root: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    site: str,
    serial: int,
    now_ms: UtcMillis,
) -> x509.Certificate:
    """A station's certificate. Only key and common name are the request's; it may ask for a CA's rights, and gets none."""
    (common_name,) = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _short(site)), common_name])
    public_key = request.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)  # as checked
    return (
        _builder(subject, root.subject, public_key, serial, now_ms, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    serial: int,
    now_ms: UtcMillis,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _short(text: str) -> str:
    """X.520 allows names of 64 characters."""
    return text[:64] or "edgectl"
