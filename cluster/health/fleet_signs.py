"""What is wrong with a tenant's models, with its fleet as a whole, and with the control plane right now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from cluster.health.memory import Memory, before
from cluster.health.node_signs import failing_sign
from cluster.health.sign import Sign
from cluster.health.snapshot import SeenLoop, SeenModel, SeenNode, Snapshot
from ollamamax.contract.health import Counts, FailedJob

QUEUE_STRETCH = 60.0
LATE_LOOP = 30.0
MOST_USAGE_WAITING = 20_000


def model_signs(
    model: SeenModel, snapshot: Snapshot, nodes: Mapping[str, SeenNode], away: Mapping[str, str], memory: Memory
) -> list[Sign]:
    """``away``: nodes that take no requests, and why. Of a model that no node of the tenant could have nothing is said."""
    signs = []
    having = [node for each in snapshot.holders.get(model.version, ()) if (node := nodes.get(each)) is not None]
    serving = [node for node in having if node.registered.serves(model.tenant)]
    if not any(node.id not in away and not _left_alone(node, model.version) for node in serving):
        if serving:
            reasons = [
                f"{node.registered.name} {away.get(node.id, 'leaves it alone, for it hung')}" for node in serving[:3]
            ]
            more = f", and {len(serving) - 3} more" if len(serving) > 3 else ""
            told = f"No node can run it: {', '.join(reasons)}{more}."
            signs.append(Sign("model_unavailable", "critical", told, {"nodes": len(serving)}, hold=10.0, clear=5.0))
        elif model.version in snapshot.coming:
            signs.append(Sign("model_coming", "notice", "It is on its way to the first node.", clear=0.0))
        else:
            signs.append(Sign("model_unavailable", "critical", "No node has it.", {"nodes": 0}, hold=30.0, clear=5.0))
    key = f"{model.tenant}/{model.name}"
    recent = memory.recent.get(f"m {key}")
    if recent is not None:
        known = before(memory.models.get(key, {}), "requests_failing")
        if failing := failing_sign(recent, snapshot.now, known):
            signs.append(failing)
    return signs


def _left_alone(node: SeenNode, version: str) -> bool:
    """Whether the node's engine hangs at this version."""
    return node.vitals is not None and any(version in (engine.quarantined or ()) for engine in node.vitals.engines)


def tenant_signs(
    tenant: str, counts: Counts, nodes: Sequence[SeenNode], snapshot: Snapshot, memory: Memory
) -> list[Sign]:
    signs = []
    held = memory.tenants.get(tenant, {})
    if not counts.nodes:
        signs.append(Sign("no_nodes", "notice", "There is no node yet.", clear=0.0))
    elif not counts.capacity:
        told = "No node takes requests."
        if counts.draining == counts.nodes:
            told = "No node takes requests: all of them drain."
        values = {"nodes": counts.nodes, "draining": counts.draining, "silent": counts.silent}
        signs.append(Sign("no_capacity", "critical", told, dict(values), hold=6.0))
    signs += _queue(tenant, counts, snapshot, memory)
    recent = memory.recent.get(f"t {tenant}")
    if recent is not None and (failing := failing_sign(recent, snapshot.now, before(held, "requests_failing"))):
        signs.append(failing)
    jobs = snapshot.failed_jobs.get(tenant, ())
    if jobs:
        signs += [_job(each) for each in jobs[:20]]
    return [*signs, *_versions(nodes)]


def _queue(tenant: str, counts: Counts, snapshot: Snapshot, memory: Memory) -> list[Sign]:
    """The queue grows when it is longer than a minute ago at every look of that minute, and longer than can run at once."""
    now, length = snapshot.now, counts.queued
    points = [each for each in memory.queued.get(tenant, []) if 0 <= now - each[0] <= QUEUE_STRETCH]
    if not length and not points:
        memory.queued.pop(tenant, None)
        return []
    least = min((each[1] for each in points), default=length)
    whole = bool(points) and now - points[0][0] >= 0.8 * QUEUE_STRETCH
    memory.queued[tenant] = [*points, (now, length)]
    if length >= 4 and length > counts.capacity and whole and length >= 1.5 * least and least > 0:
        told = f"{length} requests wait for a slot, and {least} did a minute ago: the queue grows."
        return [Sign("queue_growing", "warning", told, {"queued": length, "a_minute_ago": least}, clear=30.0)]
    recent = memory.recent.get(f"t {tenant}")
    if whole and least > 0 and (recent is None or recent.counts(now) == (0, 0)):
        told = (
            f"{length} {'request waits' if length == 1 else 'requests wait'} for a slot, and none ended for a minute."
        )
        return [Sign("queue_stuck", "critical", told, {"queued": length}, clear=10.0)]
    return []


def _job(job: FailedJob) -> Sign:
    told = f"The job to {job.kind} {job.model} failed: {job.error.rstrip('.')[:300] or 'it does not say why'}."
    return Sign("job_failed", "warning", told, {"job": job.id, "kind": job.kind, "model": job.model}, job.id, clear=0.0)


def _versions(nodes: Sequence[SeenNode]) -> list[Sign]:
    """Engines of several versions answer the same question differently."""
    kinds: dict[str, Counter[str]] = {}
    for node in nodes:
        if node.vitals is not None:
            for engine in node.vitals.engines:
                if engine.version:
                    kinds.setdefault(engine.kind, Counter())[engine.version] += 1
    signs = []
    for kind, versions in sorted(kinds.items()):
        if len(versions) > 1:
            listed = ", ".join(f"{version} on {count}" for version, count in versions.most_common(5))
            told = f"Nodes run {len(versions)} versions of {kind}, which may answer differently: {listed}."
            signs.append(
                Sign("engine_versions", "notice", told, {"engine": kind, "versions": len(versions)}, kind, hold=30.0)
            )
    return signs


def system_signs(loops: Collection[SeenLoop], usage_waiting: int, usage_refused: int) -> list[Sign]:
    signs = []
    for each in loops:
        if each.ago > max(LATE_LOOP, 10 * each.every) + each.took:
            told = f"The control loop {each.name} has not run for {each.ago:.0f} s; it should every {each.every:g} s."
            signs.append(
                Sign("loop_late", "critical", told, {"loop": each.name, "seconds": round(each.ago)}, each.name)
            )
        elif each.error:
            told = f"The control loop {each.name} fails: {each.error}."
            values = {"loop": each.name, "error": each.error}
            signs.append(Sign("loop_failing", "warning", told, dict(values), each.name, hold=10.0, clear=10.0))
    if usage_waiting >= MOST_USAGE_WAITING:
        told = f"{usage_waiting} usage records wait for Postgres."
        signs.append(Sign("usage_waiting", "warning", told, {"records": usage_waiting}, hold=30.0))
    if usage_refused:
        told = f"Postgres refused {usage_refused} usage records; they are kept in Redis for a person to look at."
        signs.append(Sign("usage_refused", "warning", told, {"records": usage_refused}))
    return signs
