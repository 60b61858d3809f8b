"""Errors that cross a seam. Expected trouble from devices is an event with a reason, not an exception."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(eq=False)
class StoreError(Exception):
    """A commit or a question to the ledger failed; nothing of it was written.

    ``reason`` is one of ``disk-full``, ``read-only``, ``io-error``, ``busy``, ``damaged``, ``cannot-open``, ``in-use``,
    ``newer-schema``, ``record-refused``, ``queue-full``, ``closed``, ``too-large``, ``database-error``. ``is_permanent`` means
    that the same attempt cannot succeed without a person or a restart; a full disk or a failed read may heal by itself.
    """

    reason: str
    detail: str
    is_permanent: bool

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
