"""The fleet as series for Prometheus: what the controller that leads saw at its last look, each node once, whatever its region. No I/O."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.health.snapshot import SeenNode, Snapshot
from ollamamax.contract.health import FRESH_SECONDS, Condition, FleetHealth, Severity
from ollamamax.observability.instruments import MODELS, TENANTS
from ollamamax.observability.lines import head, labelled
from ollamamax.observability.table import BY_NAME, OTHER

_HEALTH: dict[Condition, int] = {"healthy": 0, "degraded": 1, "unhealthy": 2}
_CONDITIONS = ("healthy", "degraded", "draining", "unhealthy", "silent")
_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "notice")


@dataclass(frozen=True)
class SeenFleet:
    """One region's fleet at its last look."""

    region: str
    snapshot: Snapshot
    reports: Mapping[str, FleetHealth]
    celery_messages: int = 0


class _Lines:
    """The lines of each metric, in the order of the table."""

    def __init__(self) -> None:
        self._of: defaultdict[str, list[str]] = defaultdict(list)

    def of(self, name: str) -> list[str]:
        return self._of[name]

    def add(self, name: str, value: float | None, *values: str) -> None:
        if value is not None and math.isfinite(value):
            labels = labelled(BY_NAME[name].labels, values) if values else ""
            self.of(name).append(f"{name}{labels} {value}\n")

    def put(self, label: str, told: Iterable[tuple[str, float | None]]) -> None:
        """Several metrics with the same labels, which are written already. The contract keeps what is no number out."""
        for name, value in told:
            if value is not None:
                self.of(name).append(f"{name}{label} {value}\n")

    def text(self, *, openmetrics: bool) -> str:
        return "".join(
            head(name, openmetrics=openmetrics) + "".join(self._of[name]) for name in BY_NAME if name in self._of
        )


def write(fleets: Iterable[SeenFleet], now: float, *, openmetrics: bool) -> str:
    """All series of the fleets that were looked at lately; ``now`` in Unix seconds. A process that leads no more has none."""
    lines = _Lines()
    fresh = [fleet for fleet in fleets if now - fleet.snapshot.now <= FRESH_SECONDS]
    for fleet in fresh:
        _sums(lines, fleet)
    for node, health in _each_node(fresh):
        _node(lines, node, health)
    return lines.text(openmetrics=openmetrics)


def _each_node(fleets: Sequence[SeenFleet]) -> list[tuple[SeenNode, Condition]]:
    """Every region's directory has all nodes; a node says how it is in one."""
    found: dict[str, tuple[SeenNode, Condition]] = {}
    for fleet in fleets:
        for node in fleet.snapshot.nodes:
            held = found.get(node.id)
            if held is None or (held[0].vitals is None and node.vitals is not None):
                report = fleet.reports.get(node.registered.tenant)
                health = report.nodes.get(node.id) if report is not None else None
                found[node.id] = node, "healthy" if health is None else health.state
    return list(found.values())


def _sums(lines: _Lines, fleet: SeenFleet) -> None:
    region, snapshot = fleet.region, fleet.snapshot
    lines.add("ollamamax_fleet_looked_timestamp_seconds", snapshot.now, region)
    findings: Counter[tuple[str, Severity]] = Counter()
    nodes: Counter[str] = Counter()
    for report in fleet.reports.values():
        found = [*report.findings]
        for node in report.nodes.values():
            found += node.findings
        for named in report.models.values():
            found += named.findings
        findings.update((finding.code, finding.severity) for finding in found)
        for condition in _CONDITIONS:
            nodes[condition] += getattr(report.counts, condition)
    for (code, severity), count in sorted(findings.items()):
        lines.add("ollamamax_health_findings", count, region, code, severity)
    for severity in _SEVERITIES:
        # So that an alert finds a zero where nothing is wrong, and not nothing.
        lines.add("ollamamax_health_findings", 0, region, "none", severity)
    for condition in _CONDITIONS:
        lines.add("ollamamax_nodes", nodes[condition], region, condition)
    lines.add("ollamamax_queue_length", sum(snapshot.queued.values()), region)
    queued: Counter[str] = Counter()
    for tenant, length in snapshot.queued.items():
        queued[TENANTS(tenant)] += length
    for tenant, length in queued.items():
        lines.add("ollamamax_tenant_queue_length", length, region, tenant)
    lines.add("ollamamax_celery_messages", fleet.celery_messages, region)
    lines.add("ollamamax_usage_records_waiting", snapshot.usage_waiting, region)
    lines.add("ollamamax_usage_records_refused", snapshot.usage_refused, region)
    lines.add("ollamamax_failed_jobs", sum(map(len, snapshot.failed_jobs.values())), region)
    lines.add("ollamamax_fetching_versions", len(snapshot.coming), region)
    held: dict[tuple[str, str], int] = {}
    for model in snapshot.models:
        names = TENANTS(model.tenant), MODELS(model.name)
        if OTHER not in names:  # of several together no number of nodes says anything
            held[names] = len(snapshot.holders.get(model.version, ()))
    for names, count in held.items():
        lines.add("ollamamax_model_nodes", count, region, *names)


def _node(lines: _Lines, node: SeenNode, health: Condition) -> None:
    """One node's series. Labels are written once for all that have the same: there are many nodes."""
    registered, vitals = node.registered, node.vitals
    agent = vitals.agent_version if vitals is not None else ""
    lines.add("ollamamax_node_info", 1, registered.region, node.id, registered.name, registered.tenant, agent)
    label = labelled(("node",), (node.id,))
    told: list[tuple[str, float | None]] = [
        ("ollamamax_node_up", 0 if vitals is None else 1),
        ("ollamamax_node_health", _HEALTH.get(health)),
    ]
    if vitals is not None:
        told += (
            ("ollamamax_node_draining", int(vitals.draining)),
            ("ollamamax_node_slots", vitals.capacity),
            ("ollamamax_node_running", vitals.running),
            ("ollamamax_node_waiting", vitals.waiting),
            ("ollamamax_node_tokens_total", vitals.tokens_total),
            ("ollamamax_node_cpu_ratio", vitals.cpu_percent / 100),
            ("ollamamax_node_memory_used_bytes", vitals.memory_used),
            ("ollamamax_node_memory_bytes", vitals.memory_total),
            ("ollamamax_node_disk_used_bytes", vitals.disk_used),
            ("ollamamax_node_disk_bytes", vitals.disk_total),
            ("ollamamax_node_clock_skew_seconds", vitals.clock_skew_seconds),
        )
    lines.put(label, told)
    if vitals is None:
        return
    for kind, engine in {engine.kind: engine for engine in vitals.engines}.items():
        cache = engine.kv_cache_percent
        lines.put(
            f'{label[:-1]},engine="{kind}"}}',
            (
                ("ollamamax_engine_up", int(engine.healthy)),
                ("ollamamax_engine_cache_ratio", None if cache is None else cache / 100),
            ),
        )
    for gpu in {each.index: each for each in vitals.gpus}.values():
        lines.add("ollamamax_gpu_info", 1, node.id, str(gpu.index), gpu.name)
        lines.put(
            f'{label[:-1]},gpu="{gpu.index}"}}',
            (
                ("ollamamax_gpu_load_ratio", None if gpu.load_percent is None else gpu.load_percent / 100),
                ("ollamamax_gpu_memory_used_bytes", gpu.memory_used),
                ("ollamamax_gpu_memory_bytes", gpu.memory_total),
                ("ollamamax_gpu_temperature_celsius", gpu.temperature_celsius),
                ("ollamamax_gpu_power_watts", gpu.power_watts),
                ("ollamamax_gpu_throttled", None if gpu.throttled is None else int(bool(gpu.throttled))),
                ("ollamamax_gpu_ecc_errors_total", gpu.ecc_errors),
            ),
        )
