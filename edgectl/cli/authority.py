"""``edgectl authority``: the site's own certificate authority, for people who set up chargers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgectl.authority import AuthorityFiles

_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path("/var/lib/edgectl"), show_default=True, help="Data directory."
)


@click.group()
def authority() -> None:
    """The site's own certificate authority for chargers."""


@authority.command()
@_DATA_DIR
def root(data_dir: Path) -> None:
    """Print the root certificate (PEM)."""
    click.echo(_root(data_dir), nl=False)


@authority.command()
@_DATA_DIR
def show(data_dir: Path) -> None:
    """Print the root certificate and what was issued."""
    click.echo(_root(data_dir), nl=False)
    for line in _files(data_dir).issued():
        click.echo(f"{line.charger}  until {line.not_after}  serial {line.serial}  sha256 {line.fingerprint}")


def _root(data_dir: Path) -> str:
    try:
        pem = _files(data_dir).root_pem()
    except OSError as error:
        raise click.ClickException(f"{data_dir}/authority cannot be read: {error.strerror}") from None
    if pem is None:
        raise click.ClickException(f"there is no authority in {data_dir} yet: the daemon makes it at its first use")
    return pem.decode()


def _files(data_dir: Path) -> AuthorityFiles:
    # here, not above: every other command would wait for the cryptography package
    from edgectl.authority import AuthorityFiles

    return AuthorityFiles(data_dir / "authority")
