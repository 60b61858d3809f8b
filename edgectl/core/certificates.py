"""Certificates of the chargers themselves: who may have one, and how it reaches them (2.0.1 A02, 1.6 security whitepaper)."""

from __future__ import annotations

from edgectl.core.chargers import ChargerState
from edgectl.domain.decisions import Ask, CertificateAnswer, Decision, Keep, Reply, SignCertificate, WakeUplink
from edgectl.domain.events import CertificateRequested, CertificateSigned
from edgectl.domain.records import EventKept
from edgectl.domain.time import Instant

CERTIFICATE = "certificate/"
"""How the ask that brings a charger its certificate is named."""


class Certificates:
    """Requests on their way to the authority and back."""

    def requested(self, event: CertificateRequested, state: ChargerState | None, now: Instant) -> list[Decision]:
        """A known charger that has shown who it is may have a certificate; nobody else, and none for contracts."""
        charger = event.call.charger
        problem = ""
        if state is None or not state.is_connected:
            problem = "not a charger of this site"
        elif not state.security_profile:
            problem = "it has not shown who it is: security profile 0"
        elif event.kind != "station":
            problem = f"no certificates of kind {event.kind!r} are made here"
        answer = Reply(event.call, CertificateAnswer(is_accepted=not problem))
        kept = Keep(EventKept("certificate-request", charger, now.utc_ms, {"kind": event.kind, "problem": problem}))
        if state is None or problem:
            return [kept, answer, WakeUplink()]
        # The answer is ahead of the certificate on the same link, so it always leaves first.
        return [kept, answer, SignCertificate(charger, event.call.message_id, event.csr, state.serial), WakeUplink()]

    def signed(self, event: CertificateSigned, now: Instant) -> list[Decision]:
        kept = Keep(EventKept("certificate-signed", event.charger, now.utc_ms, {"problem": event.problem}))
        if event.chain is None:
            return [kept, WakeUplink()]
        ask = Ask(event.charger, f"{CERTIFICATE}{event.request_id}", "certificate-signed", (("chain", event.chain),))
        return [ask, kept, WakeUplink()]
