"""Hostile commands: retained, expired, repeated, unsigned, forged, malformed, huge. None may be carried out.

The whole uplink on the simulated broker, with an action desk that only counts. Between the hostile ones come honest commands,
so that a door that lets nobody in would be noticed too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgectl.contract.commands import COMMANDS, Signed
from edgectl.contract.signing import signed_bytes
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import Event, Outcome
from edgectl.domain.ids import ChargerId, SiteId
from edgectl.domain.roles import Role
from edgectl.domain.settings import CommandKey, MqttSettings
from edgectl.domain.time import Instant, iso
from edgectl.ports import KeptCommand, OutboxRow, OutboxSummary, ParkedRow
from edgectl.uplink import Message, Uplink
from hwsim.world.broker import Backend, SimBroker, SimTransport
from hwsim.world.clock import VirtualClock
from hwsim.world.loop import VirtualLoop

SITE = "s1"
BASE = f"edgectl/v1/{SITE}/cmd/"
SECRET = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
SETTINGS = MqttSettings(
    "broker",
    1883,
    is_tls=False,
    actors=(("eye", Role.VIEWER), ("ops", Role.OPERATOR), ("boss", Role.MANAGER)),
    command_keys=(CommandKey("k1", SECRET.public_key().public_bytes_raw(), ("boss",)),),
)
HONEST_EVERY = 20
"""One honest command among so many hostile ones."""

_PLACE: dict[str, Any] = {"charger": "CP-1"}
ARGS: dict[str, dict[str, Any]] = {
    "start": {**_PLACE, "evse": 1},
    "stop": _PLACE,
    "reset": {**_PLACE, "kind": "hard"},
    "unlock": {**_PLACE, "evse": 1},
    "availability": {**_PLACE, "state": "inoperative"},
    "set-limit": {"circuit": "grid", "lift": True},
    "set-tokens": {"version": 1, "tokens": [{"uid": "04A1"}]},
    "configure": {**_PLACE, "key": "A", "value": "B"},
    "data-transfer": {**_PLACE, "vendor": "Acme"},
    "install-certificate": {**_PLACE, "certificate": "PEM"},
    "update-firmware": {**_PLACE, "location": "https://x/y", "at": "2027-01-01T00:00:00Z"},
}
UNSIGNABLE = [name for name in ARGS if COMMANDS[name].signed is not Signed.NEVER]
"""Commands that a signature decides about, with arguments that need one."""


class _NoOutbox:
    """Nothing is owed. Commands that were let in are remembered, as the ledger would."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptCommand] = {}

    def rows(self, _stream: str, _after_seq: int, _limit: int) -> Future[Sequence[OutboxRow]]:
        return _answered([])

    def mark_sent(self, _seqs: Sequence[int], _now: Instant) -> Future[None]:
        return _answered(None)

    def summary(self) -> Future[OutboxSummary]:
        return _answered(OutboxSummary(0, 0, None))

    def parked(self, _limit: int) -> Future[Sequence[ParkedRow]]:
        return _answered([])

    def commands(self) -> Sequence[KeptCommand]:
        return tuple(self.kept.values())

    def begin_command(self, command: KeptCommand, _now: Instant) -> Future[None]:
        self.kept[command.id] = command
        return _answered(None)

    def finish_command(self, command_id: str, answer: bytes) -> Future[None]:
        kept = self.kept[command_id]
        self.kept[command_id] = KeptCommand(kept.id, kept.digest, kept.received_utc_ms, kept.expires_utc_ms, answer)
        return _answered(None)


def _answered(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class _Counting:
    """``ports.Actions`` that carries out nothing and remembers what it was asked."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def request(self, charger: ChargerId, name: str, arguments: Sequence[tuple[str, str]], actor: str) -> ActionAnswered:
        raise NotImplementedError

    async def ask(self, make: Callable[[str], Event]) -> ActionAnswered:
        raise NotImplementedError

    def begin(self, make: Callable[[str], Event], on_answered: Callable[[ActionAnswered], None]) -> None:
        self.events.append(make(str(len(self.events))))
        asyncio.get_running_loop().call_soon(on_answered, ActionAnswered(str(len(self.events)), Outcome.ACCEPTED))


class Hostility:
    """Makes commands, honest and hostile, from a seed."""

    def __init__(self, seed: int, clock: VirtualClock) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._number = 0
        self.honest: list[tuple[str, bytes]] = []
        """Honest commands that were sent, to be repeated and altered."""

    def good(self, name: str, *, secret: Ed25519PrivateKey | None = SECRET, **changes: Any) -> bytes:
        """A command in order, but for the changes; without ``secret`` it is not signed."""
        self._number += 1
        now = self._clock.now().utc_ms
        body = {
            "id": f"c{self._number}",
            "issued_at": iso(now),
            "expires_at": iso(now + 5_000),
            "actor": "boss",
            "args": ARGS[name],
            "site": SITE,
            "name": name,
            "key": "k1",
            **changes,
        }
        if secret is not None:
            body["signature"] = base64.b64encode(secret.sign(signed_bytes(body))).decode()
        return json.dumps(body).encode()

    def honestly(self) -> Message:
        name = self._random.choice(list(ARGS))
        payload = self.good(name)
        self.honest = [*self.honest, (name, payload)][-50:]
        return Message(BASE + name, payload)

    def hostile(self) -> tuple[str, Message]:
        """Its kind, and the message."""
        make = self._random.choice(_KINDS)
        name, payload, is_retained = make(self)
        return make.__name__.removeprefix("_"), Message(BASE + name, payload, is_retained)

    # --- the kinds ----------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self._random.choice(list(ARGS))

    def _moment(self, low_ms: int, high_ms: int) -> str:
        return iso(self._clock.now().utc_ms + self._random.randint(low_ms, high_ms))

    def _retained(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name), True

    def _expired(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, expires_at=self._moment(-(10**10), 0)), False

    def _from_the_future(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, issued_at=self._moment(400_000, 10**9), expires_at=self._moment(10**9, 2 * 10**9)), False

    def _living_too_long(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, expires_at=self._moment(25 * 3_600_000, 10**10)), False

    def _repeated(self) -> tuple[str, bytes, bool]:
        if not self.honest:
            return self._retained()
        name, payload = self._random.choice(self.honest)
        return name, payload, self._random.random() < 0.5

    def _under_another_name(self) -> tuple[str, bytes, bool]:
        if not self.honest:
            return self._retained()
        name, payload = self._random.choice(self.honest)
        return self._random.choice([other for other in ARGS if other != name]), payload, False

    def _altered(self) -> tuple[str, bytes, bool]:
        name = self._random.choice(UNSIGNABLE)
        body = json.loads(self.good(name))
        body[self._random.choice(["id", "actor", "key", "nonce", "more", "issued_at"])] = self._random.choice(["ops", "x", "k1 "])
        return name, json.dumps(body).encode(), False

    def _unsigned(self) -> tuple[str, bytes, bool]:
        name = self._random.choice(UNSIGNABLE)
        return name, self.good(name, secret=None), False

    def _signed_by_a_stranger(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, secret=STRANGER, key=self._random.choice(["k1", "k2", "", None])), False

    def _signed_for_another_site(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, site=self._random.choice(["s2", "", None])), False

    def _of_no_actor(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, actor=self._random.choice(["eye", "root", "BOSS", " "])), False

    def _with_wrong_arguments(self) -> tuple[str, bytes, bool]:
        name = self._name()
        wrong: list[Any] = [
            {},
            {**ARGS[name], "more": 1},
            {**ARGS[name], "charger": ""},
            {**ARGS[name], "charger": "x" * 65},
            {"charger": 7},
            [],
            None,
        ]
        return name, self.good(name, args=self._random.choice(wrong)), False

    def _mutilated(self) -> tuple[str, bytes, bool]:
        name = self._random.choice(UNSIGNABLE)
        payload = bytearray(self.good(name))
        for _ in range(self._random.randint(1, 4)):
            payload[self._random.randrange(len(payload))] = self._random.choice(b"\x00\x22\x7b\x5c\xff0")
        # Bytes between the members may not matter; what matters may not stay as it was signed.
        return name, bytes(payload[: self._random.randint(0, len(payload) - 2)]), False

    def _noise(self) -> tuple[str, bytes, bool]:
        return self._name(), self._random.randbytes(self._random.randint(0, 200)), self._random.random() < 0.1

    def _huge(self) -> tuple[str, bytes, bool]:
        name = self._name()
        return name, self.good(name, more="x" * self._random.randint(66_000, 120_000)), False

    def _deep(self) -> tuple[str, bytes, bool]:
        levels = self._random.randint(13, 20_000)
        return self._name(), b'{"a":' * levels + b"1" + b"}" * levels, False

    def _unknown(self) -> tuple[str, bytes, bool]:
        names = ["self-destruct", "STOP", "stop ", "", "stop/now", "..", "%00"]
        return self._random.choice(names), self.good("stop"), False


_KINDS: list[Callable[[Hostility], tuple[str, bytes, bool]]] = [
    value for name, value in vars(Hostility).items() if callable(value) and name.startswith("_") and name not in
    {"__init__", "_name", "_moment"}
]  # fmt: skip


class Campaign:
    """``run`` sends; afterwards ``executed`` and ``honest_count`` say what became of it."""

    def __init__(self, seed: int) -> None:
        self.loop = VirtualLoop()  # type: ignore[abstract]
        self.clock = VirtualClock(self.loop)
        self.hostility = Hostility(seed, self.clock)
        self.actions = _Counting()
        self.honest_count = 0
        self.sent: Counter[str] = Counter()
        self._book = _NoOutbox()
        self._broker = SimBroker(self.loop, random.Random(seed), Backend())

    @property
    def executed_count(self) -> int:
        """Beyond the honest ones."""
        return len(self.actions.events) - self.honest_count

    def run(self, count: int) -> None:
        """Send so many hostile commands."""
        self.loop.run_until_complete(self._run(count))

    async def _run(self, count: int) -> None:
        transport = SimTransport(self.loop, self._broker)
        uplink = Uplink(
            SETTINGS,
            SiteId(SITE),
            epoch="e" * 16,
            boot_id="b",
            version="1",
            outbox=self._book,
            inbox=self,
            clock=self.clock,
            transport=transport,
            random=random.Random(1),
            actions=self.actions,
            book=self._book,
        )
        running = asyncio.create_task(uplink.run())
        while not uplink.status().is_connected:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        for number in range(count):
            if number % HONEST_EVERY == 0:
                self.honest_count += 1
                transport.deliver(self.hostility.honestly())
            kind, message = self.hostility.hostile()
            self.sent[kind] += 1
            transport.deliver(message)
            # Honest commands expire in five seconds: with this pace some repeats come before and some after that.
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        await uplink.stop()
        await running

    def put(self, event: Event) -> None:
        """The inbox: what is refused is told there, and nobody listens."""


def run_commands(count: int, seed: int) -> int:
    """The campaign by command: 0 when nothing hostile was carried out and everything honest was."""
    campaign = Campaign(seed)
    campaign.run(count)
    for kind, sent in sorted(campaign.sent.items()):
        print(f"{sent:7,} {kind.replace('_', ' ')}")
    done = len(campaign.actions.events)
    print(f"{sum(campaign.sent.values()):7,} hostile commands: {campaign.executed_count} carried out")
    print(f"{campaign.honest_count:7,} honest commands: {min(done, campaign.honest_count)} carried out")
    if campaign.executed_count == 0:
        return 0
    print(f"Replay: python -m hwsim commands --seed {seed} --count {count}", file=sys.stderr)
    return 1
