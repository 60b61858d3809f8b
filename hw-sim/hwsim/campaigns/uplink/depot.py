"""The stage with the whole daemon on it, and chargers that have one session after another over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from hwsim.campaigns.driver import Driver
from hwsim.campaigns.promises import BrokenPromiseError
from hwsim.campaigns.uplink.gateway import SITE
from hwsim.campaigns.uplink.stage import Stage, free_port

CHARGERS = 6
PAUSE_S = 0.02
"""Of a charger between two things it tells: all six together then make some twenty sessions a second at most."""
FINISH_S = 120.0
_SITE = """
site: {{id: {site}}}
circuits: {{grid: {{limit: 400 A}}}}
charger_defaults: {{current: 6 A .. 32 A, fallback: 6 A, fallback_verified: true, evses: 2}}
chargers: {{{chargers}}}
ocpp:
  listeners: [{{address: "127.0.0.1:{ocpp_port}", security_profile: 0}}]
authorization: {{offline: anyone}}
mqtt: {{broker: "mqtt://127.0.0.1:{broker_port}", receipt_timeout: 2 s, keepalive: 5 s, pack_billing: {packs}}}
web: {{listen: "127.0.0.1:{web_port}"}}
"""
_ROWS_SENT = re.compile(r"^edgectl_mqtt_rows_sent_total (\S+)", re.MULTILINE)


class DepotStage(Stage):
    """``gateway`` is ``edgectl run``. Nobody says how many records there will be: chargers do as many sessions as they can."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, 0)
        self._ocpp_port, self._web_port = free_port(), free_port()
        rng = random.Random(seed)
        names = [f"CP-{number}" for number in range(1, CHARGERS + 1)]
        self.drivers = [Driver(name, self._ocpp_port, random.Random(rng.random()), pause_s=PAUSE_S) for name in names]
        self._packs = rng.random() < 0.5
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> DepotStage:
        (self.folder / "promised").touch()
        await super().__aenter__()
        self._tasks = [asyncio.create_task(driver.run()) for driver in self.drivers]
        return self

    async def __aexit__(self, *errors: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().__aexit__(*errors)

    def _command(self, name: str) -> list[str]:
        if name != "gateway":
            return super()._command(name)
        site = self.folder / "site.yaml"
        site.write_text(
            _SITE.format(
                site=SITE,
                chargers=", ".join(f"{driver.name}: {{circuit: grid}}" for driver in self.drivers),
                ocpp_port=self._ocpp_port,
                broker_port=self.wires["gateway-broker"].port,
                web_port=self._web_port,
                packs=str(self._packs).lower(),
            )
        )
        program = [sys.executable, "-m", "hwsim.campaigns.uplink.daemon"]
        return [*program, str(site), str(self.folder), str(self.folder / "api.sock")]

    def gateway_status(self) -> dict[str, Any]:
        """By its own metrics; pid 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._web_port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {"written": self.acknowledged_count, "failures": 0, "counters": {}, "pid": 0}
        found = _ROWS_SENT.search(text)
        sent = 0 if found is None else int(float(found[1]))
        return {
            "written": self.acknowledged_count,
            "failures": 0,
            "counters": {"rows_sent": sent},
            "pid": self.children["gateway"].process.pid,
        }

    async def finish(self) -> str:
        """Let every charger end what it has begun and tell it; what did not come to an end, in words."""
        for driver in self.drivers:
            driver.begins_new = False
        deadline = time.monotonic() + FINISH_S
        while not all(driver.is_done for driver in self.drivers):
            for task in self._tasks:
                if task.done():
                    task.result()
            if time.monotonic() > deadline:
                waiting = [driver.name for driver in self.drivers if not driver.is_done]
                return f"after {FINISH_S:.0f} s of peace {', '.join(waiting)} had not told everything"
            await asyncio.sleep(0.1)
        return ""

    @property
    def acknowledged_count(self) -> int:
        """Starts and stops that the daemon said yes to."""
        return sum(driver.answered_count for driver in self.drivers)

    @property
    def repeat_count(self) -> int:
        return sum(driver.repeat_count for driver in self.drivers)

    def broken_promises(self) -> list[str]:
        """What the chargers were told, beside what the ledger has of it."""
        with closing(sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
            sessions = connection.execute("SELECT charger, transaction_ref, id FROM session").fetchall()
            bodies = connection.execute("SELECT record_id, body FROM bill ORDER BY rev").fetchall()
        bills = {record_id: json.loads(body)["session"] for record_id, body in bodies}
        known = {(charger, reference): session_id for charger, reference, session_id in sessions}
        transactions = sum(len(driver.charger.transactions) for driver in self.drivers)
        found = [driver.broken for driver in self.drivers if driver.broken]
        if not len(known) == len(sessions) == len(bills) == transactions:
            found.append(f"{transactions} transactions, {len(sessions)} sessions of {len(known)}, {len(bills)} billed")
        for driver in self.drivers:
            try:
                driver.judge(known, bills)
            except BrokenPromiseError as error:
                found.append(str(error))
        return found
