"""What a station does as time passes beside charging: it measures, sends its log, renews its firmware (blocks J, L and N)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.models.evse import Evse
from hwsim.models.ocpp2.transactions import Running, running_at

if TYPE_CHECKING:
    from hwsim.models.ocpp2.station import Station20

STEP_S = 5.0
"""How long a transfer, or an installation, takes."""
_UPDATED = "SampledDataCtrlr.TxUpdatedMeasurands"
_ALIGNED = "AlignedDataCtrlr.Measurands"


@dataclass(frozen=True)
class Step:
    """One word about a transfer or an installation."""

    due_s: float
    status: str
    then: Callable[[float], None] | None = None
    needs_idle: bool = False


class Service:
    """``advance`` and ``measure`` let time pass."""

    def __init__(self, station: Station20) -> None:
        self._station = station
        self._sample_at_s: dict[int, float] = {}
        self._aligned_count: int | None = None
        self._steps: dict[str, deque[Step]] = {"LogStatusNotification": deque(), "FirmwareStatusNotification": deque()}
        self._requests: dict[str, int] = {}
        self._told: dict[str, str] = {}

    # --- measuring

    def begin(self, number: int, now_s: float) -> None:
        """A transaction has begun there."""
        self._sample_at_s[number] = now_s + self._station.device.number("SampledDataCtrlr.TxUpdatedInterval")

    def measure(self, evse: Evse, running: Running, now_s: float) -> None:
        """Periodic values of a transaction, when they are due."""
        device = self._station.device
        interval_s = device.number("SampledDataCtrlr.TxUpdatedInterval")
        due_s = min(self._sample_at_s[evse.number], now_s + interval_s)  # the interval may have been shortened
        self._sample_at_s[evse.number] = due_s
        if interval_s and now_s >= due_s and device.flag("SampledDataCtrlr.Enabled"):
            self._sample_at_s[evse.number] = now_s + interval_s
            self._station.events.updated(evse, running, "MeterValuePeriodic", now_s, values=_UPDATED, context="Sample.Periodic")

    def measure_now(self, evse: Evse, now_s: float) -> None:
        """The server wants to know (F06)."""
        running = running_at(evse)
        if running is not None:
            self._station.events.updated(evse, running, "Trigger", now_s, values=_UPDATED, context="Trigger")

    def tell_values(self, evse: Evse, context: str, now_s: float, *, is_solicited: bool = False) -> None:
        """MeterValues, outside of any transaction."""
        found = self._station.events.values(evse, _ALIGNED, context)
        if found:
            value = {"timestamp": self._station.stamp(now_s), "sampledValue": found}
            self._station.wire.ask("MeterValues", {"evseId": evse.number, "meterValue": [value]}, is_solicited=is_solicited)

    def _align(self, now_s: float) -> None:
        """Values at the full quarter hour or whatever the interval says (J01)."""
        device = self._station.device
        interval_s = device.number("AlignedDataCtrlr.Interval")
        if not interval_s or not device.flag("AlignedDataCtrlr.Enabled"):
            self._aligned_count = None
            return
        count, before = int(self._station.wall_s(now_s) // interval_s), self._aligned_count
        self._aligned_count = count
        if before is None or before == count:
            return
        for evse in self._station.evses.values():
            running = running_at(evse)
            if running is not None:
                self._station.events.updated(evse, running, "MeterValueClock", now_s, values=_ALIGNED, context="Sample.Clock")
            elif self._station.is_online and not device.flag("AlignedDataCtrlr.SendDuringIdle"):
                self.tell_values(evse, "Sample.Clock", now_s)

    # --- logs and firmware

    def send_log(self, request: int, now_s: float) -> str:
        """The status of GetLog (N01); a new request ends the one that runs."""
        return self._plan("LogStatusNotification", request, "AcceptedCanceled", [
            Step(now_s, "Uploading"), Step(now_s + STEP_S, "Uploaded"),
        ])  # fmt: skip

    def renew_firmware(self, request: int, retrieve_s: float, install_s: float, *, is_signed: bool, now_s: float) -> str:
        """The status of UpdateFirmware (L01); it waits for the transactions, and restarts."""
        begin_s = max(now_s, retrieve_s)
        steps = [Step(now_s, "DownloadScheduled")] if retrieve_s > now_s else []
        steps += [Step(begin_s, "Downloading"), Step(begin_s + STEP_S, "Downloaded")]
        if is_signed:
            steps.append(Step(begin_s + STEP_S, "SignatureVerified"))
        due_s = max(begin_s + 2 * STEP_S, install_s)
        if install_s > begin_s + 2 * STEP_S:
            steps.append(Step(begin_s + STEP_S, "InstallScheduled"))
        steps += [
            Step(due_s, "Installing", needs_idle=True),
            Step(due_s + STEP_S, "InstallRebooting", self._reboot, needs_idle=True),
            Step(due_s + 2 * STEP_S, "Installed"),
        ]
        return self._plan("FirmwareStatusNotification", request, "AcceptedCanceled", steps)

    def status(self, action: str) -> dict[str, Any]:
        """What it would say of a log or firmware when it is asked (F06.FR.16): Idle when all is done."""
        told = self._told.get(action, "Idle")
        return (
            {"status": told, "requestId": self._requests[action]}
            if self._steps[action] and told != "Idle"
            else {"status": "Idle"}
        )

    def advance(self, now_s: float) -> None:
        self._align(now_s)
        for action, steps in self._steps.items():
            while steps and self._station.is_online and now_s >= steps[0].due_s:
                if steps[0].needs_idle and self._station.is_busy:
                    break
                step = steps.popleft()
                self._told[action] = step.status
                self._station.wire.ask(action, {"status": step.status, "requestId": self._requests[action]})
                if step.then is not None:
                    step.then(now_s)
                    break

    def _plan(self, action: str, request: int, cancelled: str, steps: list[Step]) -> str:
        is_running = bool(self._steps[action])
        self._requests[action] = request
        self._steps[action] = deque(steps)
        return cancelled if is_running else "Accepted"

    def _reboot(self, now_s: float) -> None:
        self._station.firmware = "1.1"
        self._station.device.put("ChargingStation.FirmwareVersion", self._station.firmware)
        self._station.reset("FirmwareUpdate", now_s)
