"""OCMF records made here, signed with a key of our own."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class OwnMeter:
    """A meter that signs what it reads, page after page."""

    def __init__(self, curve: ec.EllipticCurve | None = None, declared: str | None = None, serial: str = "M-1") -> None:
        # A fixed scalar: the same key in every run.
        self.key = ec.derive_private_key(123_456_789, curve or ec.SECP256R1())
        self.declared = declared
        self.serial = serial
        self.page = 0

    @property
    def public_key(self) -> str:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex().upper()

    def record(self, *letters: str, page: int | None = None, state: str = "G", errors: str = "", quality: str = "S") -> str:
        self.page = self.page + 1 if page is None else page
        first = {
            "TM": f"2027-01-15T09:00:00,000+0100 {quality}",
            "TX": letters[0],
            "RV": "0.10",
            "RU": "kWh",
            "EF": errors,
            "ST": state,
        }
        readings = [first, *({"TX": letter, "RV": "1.50"} for letter in letters[1:])]
        # A number with a trailing zero: whoever parses and writes it again has broken the signature.
        payload = json.dumps(
            {"FV": "1.0", "GS": "G", "PG": f"T{self.page}", "MS": self.serial, "RD": readings, "XX": "Σ|{"}, ensure_ascii=False
        )
        payload = payload.replace('"RV": "1.50"', '"RV": 1.50')
        signature = self.key.sign(payload.encode(), ec.ECDSA(SHA256())).hex()
        part = {"SD": signature} | ({"SA": self.declared} if self.declared else {})
        return f"OCMF|{payload}|{json.dumps(part)}"
