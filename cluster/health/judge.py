"""Judges the fleet: what is known of it and what is remembered in, how each tenant's nodes, models and fleet are out. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from cluster.health.fleet_signs import model_signs, system_signs, tenant_signs
from cluster.health.memory import LONGEST_PAUSE, HeldSign, Memory, NodeMemory, Recent
from cluster.health.node_signs import node_signs
from cluster.health.sign import PREDICTED, Sign
from cluster.health.snapshot import SeenNode, Snapshot
from cluster.health.speed_signs import learn, slow_signs
from cluster.health.steady import SEVERITIES, condition, steady
from ollamamax.contract.health import Condition, Counts, Finding, FleetHealth, ModelHealth, NodeHealth
from ollamamax.contract.measured import Ended

SYSTEM = ""
"""Stands for a tenant in the report on the control plane itself."""
GATEWAY_LOST = "gateway_lost"
"""The error of requests whose gateway died."""
MOST_FINDINGS = 100
"""Of one node: a node with sixteen cards, each of which has six faults, has fewer. What it says must not fill the report on all others."""
_AWAY = {
    "node_silent": "is silent",
    "node_cut_off": "is cut off",
    "node_ignored": "is not understood",
    "engine_frozen": "hangs",
    "engine_restarting": "is started again",
    "engine_down": "has no engine that works",
    "engine_missing": "has no engine",
}


def judge(
    snapshot: Snapshot, memory: Memory, predicted: Mapping[str, Sequence[Sign]] | None = None
) -> dict[str, FleetHealth]:
    """Tenant -> how its fleet is; under `SYSTEM` how the control plane is. ``memory`` is brought forward.

    ``predicted``: what is likely to fail, of those nodes of which enough is known; what was said of the others before stands.
    """
    predicted = predicted or {}
    now, looked = snapshot.now, memory.at
    paused = not 0.0 <= now - looked <= LONGEST_PAUSE
    nodes = {node.id: node for node in snapshot.nodes}
    _count(snapshot.ended, memory, now)
    learn(snapshot.ended, nodes, memory, now)
    slow = slow_signs(nodes, memory, now)
    tenants: dict[str, list[SeenNode]] = defaultdict(list)
    counts: dict[str, Counts] = defaultdict(Counts)
    judged: dict[str, dict[str, NodeHealth]] = defaultdict(dict)
    away: dict[str, str] = {}
    for node in snapshot.nodes:
        tenant = node.registered.tenant
        tenants[tenant].append(node)
        held = memory.nodes.get(node.id)
        if held is None:
            held = memory.nodes[node.id] = NodeMemory()
        if paused and held.heard_at:
            _begin_anew(held, now)
        signs = node_signs(node, held, memory.recent.get(f"n {node.id}"), now, snapshot.version)
        coming = predicted.get(node.id)
        if coming is None:
            coming = [each.sign for each in held.held.values() if each.raised and each.sign.code.startswith(PREDICTED)]
        signs = _worst_signs([*signs, *slow.get(node.id, ()), *coming])
        # Of a node that says nothing only what it said last is known: that is neither there nor away.
        if node.vitals is None:
            signs += [each.sign for key, each in held.held.items() if each.raised and _is_kept(key)]
        findings = steady(held.held, signs, now, looked)[:MOST_FINDINGS] if signs or held.held else []
        if findings:
            judged[tenant][node.id] = NodeHealth(node.registered.name, condition(findings), findings)
        if (why := _away(node, findings)) is not None:
            away[node.id] = why
        _add(counts[tenant], node, findings)
    for gone in memory.nodes.keys() - nodes.keys():
        del memory.nodes[gone]
    models = _models(snapshot, nodes, away, memory, looked, bool(tenants))
    for tenant, queued in snapshot.queued.items():
        counts[tenant].queued = queued
    every = tenants.keys() | models.keys() | {each for each, queued in snapshot.queued.items() if queued}
    every |= memory.queued.keys() | snapshot.failed_jobs.keys()
    reports = {
        tenant: _report(tenant, counts[tenant], tenants[tenant], judged[tenant], models[tenant], snapshot, memory)
        for tenant in every
    }
    reports[SYSTEM] = _system(snapshot, memory)
    for kept in (memory.models, memory.tenants):
        known = (
            {f"{each.tenant}/{each.name}" for each in snapshot.models} if kept is memory.models else {*every, SYSTEM}
        )
        for gone in kept.keys() - known:
            del kept[gone]
    memory.at = now
    return reports


def _worst_signs(signs: list[Sign]) -> list[Sign]:
    """No more than `MOST_FINDINGS`, always the same ones of the same signs, so that none flickers."""
    if len(signs) <= MOST_FINDINGS:
        return signs
    return sorted(signs, key=lambda each: (SEVERITIES[each.severity], each.code, each.of))[:MOST_FINDINGS]


def _is_kept(key: str) -> bool:
    return key.split(" ", 1)[0] in {"gpu_ecc", "gpu_memory_broken", "gpu_gone", "disk_full"}


def _begin_anew(held: NodeMemory, now: float) -> None:
    """Nobody looked for a while: what it did meanwhile is not known."""
    held.anchor_at, held.anchor_seq, held.moved_at = now, max(0, held.seq), now


def _count(ended: Sequence[Ended], memory: Memory, now: float) -> None:
    sums: dict[str, tuple[int, int]] = {}
    for each in ended:
        ok, failed = each.ok, each.failed
        if not ok and not failed:
            continue
        # That a gateway died says nothing of the node that ran the request, nor of its model.
        theirs = failed - each.errors.get(GATEWAY_LOST, 0)
        for key, bad in (
            (f"t {each.tenant}", failed),
            (f"n {each.node}" if each.node else "", theirs),
            (f"m {each.tenant}/{each.model}" if each.model else "", theirs),
        ):
            if key and (ok or bad):
                before = sums.get(key, (0, 0))
                sums[key] = before[0] + ok, before[1] + bad
    for key, (ok, failed) in sums.items():
        recent = memory.recent.get(key)
        if recent is None:
            recent = memory.recent[key] = Recent()
        recent.add(now, ok, failed)
    over = [key for key, recent in memory.recent.items() if recent.counts(now) == (0, 0)]
    for key in over:
        del memory.recent[key]


def _away(node: SeenNode, findings: Sequence[Finding]) -> str | None:
    """Why a node takes no requests; ``None`` for one that does."""
    for each in findings:
        if each.code in _AWAY and each.severity == "critical":
            return _AWAY[each.code]
    if node.vitals is None:
        return "is silent"
    if not node.registered.schedulable or node.vitals.draining:
        return "drains"
    return None


def _add(counts: Counts, node: SeenNode, findings: Sequence[Finding]) -> None:
    counts.nodes += 1
    vitals = node.vitals
    state = condition(findings)
    if vitals is None:
        counts.silent += 1
        return
    counts.running += vitals.running
    if state == "unhealthy" and any(each.code in _AWAY for each in findings if each.severity == "critical"):
        counts.unhealthy += 1
    elif not node.registered.schedulable or vitals.draining:
        counts.draining += 1
    else:
        # A card that is too hot still runs requests.
        counts.capacity += vitals.capacity
        if state == "healthy":
            counts.healthy += 1
        elif state == "degraded":
            counts.degraded += 1
        else:
            counts.unhealthy += 1


def _models(
    snapshot: Snapshot,
    nodes: Mapping[str, SeenNode],
    away: Mapping[str, str],
    memory: Memory,
    looked: float,
    some: bool,
) -> dict[str, dict[str, ModelHealth]]:
    found: dict[str, dict[str, ModelHealth]] = defaultdict(dict)
    if not some:
        return found
    for model in snapshot.models:
        signs = model_signs(model, snapshot, nodes, away, memory)
        key = f"{model.tenant}/{model.name}"
        held = memory.models.get(key)
        if not signs and held is None:
            continue
        if held is None:
            held = memory.models[key] = {}
        findings = steady(held, signs, snapshot.now, looked)
        if not held:
            del memory.models[key]
        if findings:
            found[model.tenant][model.name] = ModelHealth(condition(findings), findings, model.id)
    return found


def _report(
    tenant: str,
    counts: Counts,
    nodes: Sequence[SeenNode],
    judged: dict[str, NodeHealth],
    models: dict[str, ModelHealth],
    snapshot: Snapshot,
    memory: Memory,
) -> FleetHealth:
    held: dict[str, HeldSign] = memory.tenants.setdefault(tenant, {})
    signs = tenant_signs(tenant, counts, nodes, snapshot, memory)
    findings = steady(held, signs, snapshot.now, memory.at)
    return FleetHealth(snapshot.now, _worst(findings, judged, models), counts, judged, models, findings)


def _worst(
    findings: Sequence[Finding], nodes: Mapping[str, NodeHealth], models: Mapping[str, ModelHealth]
) -> Condition:
    """A fleet in which some node does not work is degraded; it is unhealthy when a model or the fleet does not do its work."""
    states = {condition(findings), *(each.state for each in models.values())}
    if "unhealthy" in states:
        return "unhealthy"
    if "degraded" in states or any(each.state != "healthy" for each in nodes.values()):
        return "degraded"
    return "healthy"


def _system(snapshot: Snapshot, memory: Memory) -> FleetHealth:
    held = memory.tenants.setdefault(SYSTEM, {})
    signs: list[Sign] = system_signs(snapshot.loops, snapshot.usage_waiting, snapshot.usage_refused)
    findings = steady(held, signs, snapshot.now, memory.at)
    return FleetHealth(snapshot.now, condition(findings), Counts(), findings=findings)
