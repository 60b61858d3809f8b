"""Key, root and register of the authority on disk: ``DATA_DIR/authority/``, readable by the daemon's user only."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgectl.authority.requests import make_root, random_serial
from edgectl.domain.units import UtcMillis


@dataclass(frozen=True, slots=True)
class Issued:
    """One line of the register."""

    serial: str
    """Hexadecimal."""
    charger: str
    not_after: str
    """ISO 8601, UTC."""
    fingerprint: str
    """SHA-256, hexadecimal."""


class AuthorityFiles:
    """The folder. Blocking calls, for a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def root_pem(self) -> bytes | None:
        """None before the first use."""
        try:
            return (self.folder / "root.pem").read_bytes()
        except FileNotFoundError:
            return None

    def load_or_make(self, site: str, random: Random, now_ms: UtcMillis) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Key and root, made on first use.

        The key is written first: a root without its key could sign nothing, a key without a root gets a new one.

        Raises:
            OSError: the folder cannot be read or written.
            ValueError: what lies there is not ours; nothing is overwritten.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_path = self.folder / "key.pem"
        if not key_path.exists():
            if self.root_pem() is not None:
                raise ValueError(f"{key_path} is missing, but its root is there")
            made = ec.generate_private_key(ec.SECP256R1())
            encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            _write(key_path, made.private_bytes(encoding, form, serialization.NoEncryption()))
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_path} is not an elliptic curve key")  # noqa: TRY004 - a file's content, not a caller's type
        pem = self.root_pem()
        if pem is None:
            root = make_root(key, site, random_serial(random), now_ms)
            _write(self.folder / "root.pem", root.public_bytes(serialization.Encoding.PEM))
            return key, root
        root = x509.load_pem_x509_certificate(pem)
        if root.public_key() != key.public_key():
            raise ValueError(f"{self.folder}: root.pem is not of key.pem")
        return key, root

    def register(self, issued: Issued) -> None:
        """On disk when this returns: no certificate leaves that the register does not know."""
        descriptor = os.open(self.folder / "issued.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            # The line end comes first as well: a line torn by a power cut spoils itself only.
            file.write(b"\n" + json.dumps(asdict(issued)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(self.folder)

    def issued(self) -> list[Issued]:
        """What was signed, oldest first; torn lines are passed over."""
        try:
            lines = (self.folder / "issued.jsonl").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(Issued(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found


def _write(path: Path, data: bytes) -> None:
    """All or nothing, also when the power goes."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
