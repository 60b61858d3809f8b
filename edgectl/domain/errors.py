"""Errors that cross a seam. Expected trouble from devices is an event with a reason, not an exception."""

from __future__ import annotations


class InvariantError(Exception):
    """A thing that must always hold did not: our bug. It ends the process; systemd restarts it into safe limits."""


def invariant(condition: bool, claim: str, **facts: object) -> None:
    """Stay on in production, unlike ``assert``. ``claim`` says what should have held.

    Raises:
        InvariantError: with the claim and the facts.
    """
    if not condition:
        shown = ", ".join(f"{name}={value!r}" for name, value in facts.items())
        raise InvariantError(f"{claim} ({shown})" if shown else claim)
