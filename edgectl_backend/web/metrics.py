"""The Prometheus exposition: what this process has done, and what the database says of the fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class _Fleet(Collector):
    """Made anew for each scrape."""

    def __init__(
        self, counters: Mapping[str, int], gauges: Mapping[str, float], sites: Sequence[Mapping[str, Any]] | None
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self._sites = sites

    def collect(self) -> Iterable[Metric]:
        for name, count in sorted(self._counters.items()):
            yield CounterMetricFamily(f"edgectl_backend_{name}", "A count since this process started.", value=count)
        for name, value in self._gauges.items():
            yield GaugeMetricFamily(f"edgectl_backend_{name}", "Of this process.", value=value)
        if self._sites is None:
            return
        for column, name, words in (
            ("backlog", "site_backlog", "Records that wait at the gateway, by its last word."),
            ("oldest_unacked_s", "site_oldest_unacked_seconds", "For how long the oldest of them has waited."),
            ("alarms", "site_alarms", "Alarms that stand."),
            ("open_sessions", "site_sessions_open", "Sessions that run."),
            ("records", "site_records", "Numbers given by the site's ledgers, as far as is known."),
            ("missing_records", "site_records_missing", "Numbers that have been missing for two minutes."),
            ("chain_faults", "site_chain_faults", "Records that do not follow the one before them, and forks."),
        ):
            family = GaugeMetricFamily(f"edgectl_backend_{name}", words, labels=["site"])
            for site in self._sites:
                if site[column] is not None:
                    family.add_metric([site["site"]], float(site[column]))
            yield family
        online = GaugeMetricFamily("edgectl_backend_site_online", "1 while the gateway says so.", labels=["site"])
        for site in self._sites:
            online.add_metric([site["site"]], float(site["state"] == "online"))
        yield online


def exposition(counters: Mapping[str, int], gauges: Mapping[str, float], sites: Sequence[Mapping[str, Any]] | None) -> bytes:
    """``sites`` is None while the database cannot be asked."""
    registry = CollectorRegistry()
    registry.register(_Fleet(counters, gauges, sites))
    return generate_latest(registry)
