"""The Prometheus exposition: base units, read from the same picture as everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgectl.domain.phases import ALL_PHASES
from edgectl.domain.views import Health, SiteView
from edgectl.ports import OutboxSummary


class SiteCollector(Collector):
    """Made anew for each scrape from one picture."""

    def __init__(
        self, view: SiteView, health: Health, outbox: OutboxSummary | None, transport: Mapping[str, object] | None = None
    ) -> None:
        self._transport = transport or {}
        self._view = view
        self._health = health
        self._outbox = outbox

    def collect(self) -> Iterable[Metric]:
        yield from self._circuits()
        yield from self._limits()
        yield from self._meters()
        yield from self._chargers()
        yield from self._host()

    def _circuits(self) -> Iterable[Metric]:
        names = ["circuit", "phase"]
        measured = GaugeMetricFamily("edgectl_circuit_current_amperes", "Measured current.", labels=names)
        limit = GaugeMetricFamily("edgectl_circuit_limit_amperes", "Limit of the conductor.", labels=names)
        allowed = GaugeMetricFamily(
            "edgectl_circuit_allowed_amperes", "Limit, or less where somebody outside says so.", labels=names
        )
        headroom = GaugeMetricFamily("edgectl_circuit_headroom_amperes", "What chargers may share.", labels=names)
        over = GaugeMetricFamily("edgectl_circuit_over_limit_seconds", "How long it has been over its limit.", labels=["circuit"])
        for circuit in self._view.circuits:
            for phase in ALL_PHASES:
                labels = [circuit.id, phase.name]
                limit.add_metric(labels, circuit.limit_ma[phase] / 1000)
                allowed.add_metric(labels, circuit.allowed_ma[phase] / 1000)
                headroom.add_metric(labels, circuit.headroom_ma[phase] / 1000)
                if circuit.measured_ma is not None:
                    measured.add_metric(labels, circuit.measured_ma[phase] / 1000)
            over.add_metric([circuit.id], circuit.over_limit_ms / 1000)
        yield from (measured, limit, allowed, headroom, over)
        held = ["circuit", "cause"]
        energy = CounterMetricFamily("edgectl_curtailed_energy_joules", "Held back from vehicles; an estimate.", labels=held)
        time = CounterMetricFamily("edgectl_curtailed_seconds", "Time of vehicles held back.", labels=held)
        for curtailed in self._view.curtailed:
            energy.add_metric([curtailed.circuit, curtailed.cause.value], curtailed.energy_wh * 3600)
            time.add_metric([curtailed.circuit, curtailed.cause.value], curtailed.held_ms / 1000)
        yield from (energy, time)

    def _limits(self) -> Iterable[Metric]:
        names = ["limit", "by", "state"]
        left = GaugeMetricFamily("edgectl_external_limit_left_seconds", "Until a limit from outside ends.", labels=names)
        holds = GaugeMetricFamily("edgectl_external_limit_info", "1 for each limit from outside.", labels=names)
        for one in self._view.limits:
            holds.add_metric([one.id, one.by, one.state], 1)
            if one.until_utc_ms is not None:
                left.add_metric([one.id, one.by, one.state], max(0, one.until_utc_ms - self._view.at_utc_ms) / 1000)
        yield from (holds, left)

    def _meters(self) -> Iterable[Metric]:
        age = GaugeMetricFamily("edgectl_meter_age_seconds", "Age of the last reading with a value.", labels=["meter"])
        good = GaugeMetricFamily("edgectl_meter_good", "1 while the reading can be trusted.", labels=["meter"])
        for meter in self._view.meters:
            if meter.age_ms is not None:
                age.add_metric([meter.id], meter.age_ms / 1000)
            good.add_metric([meter.id], float(meter.quality.value == "good"))
        yield from (age, good)

    def _chargers(self) -> Iterable[Metric]:
        connected = GaugeMetricFamily("edgectl_charger_connected", "1 while the charger is connected.", labels=["charger"])
        writes = GaugeMetricFamily("edgectl_charger_limits_last_hour", "Limits sent in the last hour.", labels=["charger"])
        limit = GaugeMetricFamily("edgectl_evse_limit_amperes", "Last limit sent.", labels=["charger", "evse"])
        energy = GaugeMetricFamily("edgectl_session_energy_joules", "Energy of the running session.", labels=["charger", "evse"])
        for charger in self._view.chargers:
            connected.add_metric([charger.id], float(charger.is_connected))
            writes.add_metric([charger.id], charger.writes_per_hour_count)
            for evse in charger.evses:
                labels = [charger.id, str(evse.number)]
                if evse.commanded_ma is not None:
                    limit.add_metric(labels, evse.commanded_ma / 1000)
                if evse.energy_wh is not None:
                    energy.add_metric(labels, evse.energy_wh * 3600)
        yield from (connected, writes, limit, energy)

    def _room(self) -> Iterable[Metric]:
        left = GaugeMetricFamily("edgectl_room_left_bytes", "Of the ledger's budget and of its disk.", labels=["of"])
        used = GaugeMetricFamily("edgectl_room_used_per_day_bytes", "At the rate of the last week.", labels=["of"])
        ends = GaugeMetricFamily("edgectl_room_left_days", "At that rate; absent while no end is in sight.", labels=["of"])
        for one in self._view.room:
            left.add_metric([one.name], one.left_bytes)
            used.add_metric([one.name], one.used_per_day_bytes)
            if one.left_days is not None:
                ends.add_metric([one.name], one.left_days)
        yield from (left, used, ends)

    def _host(self) -> Iterable[Metric]:
        view = self._view
        yield GaugeMetricFamily("edgectl_sessions_open", "Open sessions.", value=view.open_session_count)
        yield GaugeMetricFamily("edgectl_alarms_active", "Active alarms.", value=len(view.alarms))
        yield GaugeMetricFamily(
            "edgectl_uplink_connected", "1 while the broker is connected.", value=float(view.uplink_connected)
        )
        yield GaugeMetricFamily("edgectl_store_healthy", "1 while records can be stored.", value=float(view.store_healthy))
        yield from self._room()
        if self._health.last_period_age_ms is not None:
            yield GaugeMetricFamily(
                "edgectl_control_period_age_seconds",
                "Since the last completed control period.",
                value=self._health.last_period_age_ms / 1000,
            )
        if self._outbox is not None:
            yield GaugeMetricFamily("edgectl_outbox_backlog", "Records owed to the backend.", value=self._outbox.backlog_count)
            yield GaugeMetricFamily("edgectl_outbox_parked", "Records set aside.", value=self._outbox.parked_count)
            blocks, size = self._outbox.telemetry_count, self._outbox.telemetry_bytes
            yield GaugeMetricFamily("edgectl_outbox_telemetry_blocks", "Blocks of telemetry that wait.", value=blocks)
            yield GaugeMetricFamily("edgectl_outbox_telemetry_bytes", "What they take, packed.", value=size)
            if self._outbox.oldest_utc_ms is not None:
                age_s = max(0, view.at_utc_ms - self._outbox.oldest_utc_ms) / 1000
                yield GaugeMetricFamily("edgectl_outbox_oldest_age_seconds", "How long the oldest record is owed.", value=age_s)
        for key, name, words in _TRANSPORT_AGES:
            age_ms = self._transport.get(key)
            if isinstance(age_ms, int):
                yield GaugeMetricFamily(name, words, value=age_ms / 1000)
        for name, count in view.counters:
            yield CounterMetricFamily(f"edgectl_{name.replace('-', '_')}", "A count since start.", value=count)


_TRANSPORT_AGES = (
    ("last_puback_age_ms", "edgectl_uplink_puback_age_seconds", "Since the broker last answered a publish."),
    ("last_receipt_age_ms", "edgectl_uplink_receipt_age_seconds", "Since the backend last said what it has stored."),
)


def exposition(
    view: Callable[[], SiteView],
    health: Health,
    outbox: OutboxSummary | None,
    transport: Mapping[str, object] | None = None,
) -> bytes:
    """``transport`` is how the uplink says it is doing, as the API shows it."""
    registry = CollectorRegistry()
    registry.register(SiteCollector(view(), health, outbox, transport))
    return generate_latest(registry)
