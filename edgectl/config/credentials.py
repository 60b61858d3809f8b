"""Secrets by name: from systemd credentials, or in development from ``secrets/`` beside the YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edgectl.domain.settings import CredentialReader

MAX_BYTES = 1 << 20
"""systemd's own bound on all credentials of a unit (systemd.exec, LoadCredential)."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def credential_paths(name: str, config_dir: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a credential may lie, first choice first; nowhere for a name that could lead out of these folders."""
    if _NAME.fullmatch(name) is None:
        return ()
    given = environ.get("CREDENTIALS_DIRECTORY")
    # A folder handed over with LoadCredential= arrives with the folder's credential name before each file's (systemd 252).
    handed = (Path(given) / name, Path(given) / f"edgectl_{name}") if given else ()
    return (*handed, config_dir / "secrets" / name)


def credential_reader(config_dir: Path, environ: Mapping[str, str]) -> CredentialReader:
    """A function that reads a credential by name, without the line end that editors put after a password.

    The function raises ``KeyError`` with the reason when there is none, or when it cannot be read.
    """

    def read(name: str) -> bytes:
        reasons = []
        for path in credential_paths(name, config_dir, environ):
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_BYTES + 1)
            except OSError as error:
                reasons.append(f"{path}: {error.strerror}")
                continue
            if len(data) > MAX_BYTES:
                raise KeyError(f"credential {name}: {path} has more than {MAX_BYTES} bytes")
            return data.removesuffix(b"\n").removesuffix(b"\r")
        raise KeyError(f"credential {name}: {'; '.join(reasons) or 'not a possible name'}")

    return read
