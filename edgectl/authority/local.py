"""``ports.Authority`` with a key of the site's own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from edgectl.authority.files import AuthorityFiles, Issued
from edgectl.authority.requests import BadRequestError, checked_request, make_leaf, random_serial
from edgectl.domain.decisions import SignCertificate
from edgectl.domain.events import CertificateSigned
from edgectl.domain.time import Instant
from edgectl.ports import Inbox

log = structlog.get_logger(__name__)

WAITING_MAX = 64
"""Requests at once, those being signed included; each takes milliseconds, and a charger asks once a year."""


class LocalAuthority:
    """Signs in a thread, one after the other; the answer comes through the inbox."""

    def __init__(self, folder: Path, site: str, inbox: Inbox, random: Random) -> None:
        self._files = AuthorityFiles(folder)
        self._site = site
        self._inbox = inbox
        self._random = random
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def root_pem(self, now: Instant) -> bytes:
        """The root that a listener trusts; key and root are made on first use. Blocks for milliseconds: for the start.

        Raises:
            OSError, ValueError: the folder cannot be used, or holds what is not ours.
        """
        _, root = self._files.load_or_make(self._site, self._random, now.utc_ms)
        return root.public_bytes(Encoding.PEM)

    def sign(self, request: SignCertificate, now: Instant) -> None:
        if len(self._tasks) >= WAITING_MAX:
            self._answer(request, None, "too many requests at once")
            return
        task = asyncio.get_running_loop().create_task(self._sign(request, now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sign(self, request: SignCertificate, now: Instant) -> None:
        try:
            async with self._turn:
                chain = await asyncio.to_thread(self._signed, request, now)
        except BadRequestError as problem:
            self._answer(request, None, str(problem))
        except (OSError, ValueError) as problem:
            log.exception("authority_unusable", charger=request.charger)
            self._answer(request, None, f"the authority cannot be used: {problem}")
        else:
            self._answer(request, chain, "")

    def _answer(self, request: SignCertificate, chain: str | None, problem: str) -> None:
        if problem:
            log.warning("certificate_refused", charger=request.charger, reason=problem)
        self._inbox.put(CertificateSigned(request.charger, request.request_id, chain, problem))

    def _signed(self, request: SignCertificate, now: Instant) -> str:
        wanted = checked_request(request.csr, request.charger, request.serial)
        key, root = self._files.load_or_make(self._site, self._random, now.utc_ms)
        leaf = make_leaf(wanted, root, key, self._site, random_serial(self._random), now.utc_ms)
        fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
        self._files.register(
            Issued(f"{leaf.serial_number:x}", request.charger, leaf.not_valid_after_utc.isoformat(), fingerprint)
        )
        return leaf.public_bytes(Encoding.PEM).decode()
