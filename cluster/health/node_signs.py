"""What is wrong with a node itself right now: its reports, its engines, its host. Pure."""

from __future__ import annotations

import re

from cluster.health.gpu_signs import gpu_signs
from cluster.health.memory import NodeMemory, Recent, before
from cluster.health.sign import Sign, above
from cluster.health.snapshot import SeenNode
from ollamamax.contract import Engine, Vitals
from ollamamax.contract.health import Severity, Value

SILENT_HOLD = 6.0
STRETCH = 30.0
"""Seconds over which reports are counted: one each second is due."""
NO_PROGRESS = 60.0
LEAST_FAILED = 3
"""One that fails says nothing of the rest."""
MOST_SKEW = 5.0
MOST_REASON = 1000
"""Characters of an engine's error."""
_GIB = 1 << 30
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.|$|\D)")


def node_signs(node: SeenNode, memory: NodeMemory, recent: Recent | None, now: float, version: str) -> list[Sign]:
    """``memory`` is brought forward by what the node reports. ``version`` is the control plane's."""
    signs = _trust(node)
    trusted = not signs
    vitals = node.vitals
    draining = not node.registered.schedulable or (vitals is not None and vitals.draining)
    if draining:
        signs.append(_draining(vitals))
    if vitals is None:
        if trusted:
            signs.append(_silent(memory, now, draining=draining))
        return signs
    _heard(vitals, memory, now)
    if memory.late >= (0.25 if before(memory.held, "telemetry_late") else 0.4):
        missing = round(memory.late * 100)
        text = f"{missing} % of its reports of the last {STRETCH:.0f} s did not come."
        signs.append(Sign("telemetry_late", "warning", text, {"missing_percent": missing}, hold=STRETCH, clear=60.0))
    signs += _engines(vitals, memory, node, now)
    signs += _host(vitals, memory)
    signs += gpu_signs(vitals, memory, now)
    if recent is not None and (failing := failing_sign(recent, now, before(memory.held, "requests_failing"))):
        signs.append(failing)
    signs += _models(node)
    if (older := _skew(vitals.agent_version, version)) is not None:
        signs.append(older)
    return signs


def failing_sign(recent: Recent, now: float, known: Severity | None) -> Sign | None:
    """Whether too many of the last minute's requests failed."""
    ok, failed = recent.counts(now)
    if failed < LEAST_FAILED:
        return None
    share = failed / (ok + failed)
    bad = above(share, 0.1, 0.5, 0.05, known)
    if bad is None:
        return None
    text = f"{failed} of {ok + failed} requests of the last minute failed."
    values: dict[str, Value] = {"failed": failed, "requests": ok + failed, "percent": round(share * 100, 1)}
    return Sign("requests_failing", bad, text, values, clear=30.0)


def _trust(node: SeenNode) -> list[Sign]:
    """Whether what it says is taken."""
    if not node.problem:
        return []
    if node.cut:
        return [Sign("node_cut_off", "critical", node.problem)]
    if node.vitals is None:
        return [Sign("node_ignored", "critical", node.problem, hold=2.0)]
    return [Sign("node_faulty", "warning", node.problem, clear=30.0)]


def _draining(vitals: Vitals | None) -> Sign:
    running = 0 if vitals is None else vitals.running
    text = "Drained: it runs nothing and gets no new requests."
    if running:
        text = f"Draining: {running} {'request runs' if running == 1 else 'requests run'} to the end, and it gets no new ones."
    return Sign("node_draining", "notice", text, {"running": running}, clear=0.0)


def _silent(memory: NodeMemory, now: float, *, draining: bool) -> Sign:
    if memory.heard_at:
        seconds = max(0.0, now - memory.heard_at)
        text = f"It has said nothing for {_spoken(seconds)}."
    else:
        seconds, text = 0.0, "It says nothing: the agent does not run, or cannot reach the control plane."
    values: dict[str, Value] = {"silent_seconds": round(seconds)} if memory.heard_at else {}
    severity: Severity = "warning" if draining else "critical"
    return Sign("node_silent", severity, text, values, hold=SILENT_HOLD, clear=3.0)


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _heard(vitals: Vitals, memory: NodeMemory, now: float) -> None:
    if vitals.boot != memory.boot:
        memory.boot, memory.gpus, memory.tokens, memory.ecc = vitals.boot, 0, -1, {}
        memory.anchor_at, memory.anchor_seq, memory.late, memory.seq = now, vitals.seq, 0.0, -1
    if vitals.seq != memory.seq:
        memory.seq, memory.heard_at = vitals.seq, now
    passed = now - memory.anchor_at
    if passed >= STRETCH or passed < 0:
        # Nobody looked for a while: then nothing is known of what came meanwhile, but all of it is counted by the numbers.
        due = max(1.0, passed)
        memory.late = max(0.0, 1.0 - max(0, vitals.seq - memory.anchor_seq) / due) if passed > 0 else 0.0
        memory.anchor_at, memory.anchor_seq = now, vitals.seq


def _engines(vitals: Vitals, memory: NodeMemory, node: SeenNode, now: float) -> list[Sign]:
    signs = []
    if not vitals.engines:
        signs.append(Sign("engine_missing", "critical", "It has no engine.", hold=5.0))
    for engine in vitals.engines:
        if not engine.healthy:
            signs.append(_engine(engine))
        elif engine.kv_cache_percent is not None and engine.kv_cache_percent >= 97:
            told = f"The {engine.kind} engine's cache of prompts is {engine.kv_cache_percent:.0f} % full: more requests wait for room."
            values: dict[str, Value] = {"percent": round(engine.kv_cache_percent, 1)}
            signs.append(Sign("engine_cache_full", "warning", told, values, engine.kind, hold=60.0, clear=30.0))
    signs += _progress(vitals, memory, node, now)
    return signs


def _engine(engine: Engine) -> Sign:
    told = (engine.error or "it does not say why")[:MOST_REASON].rstrip(".")
    values: dict[str, Value] = {"engine": engine.kind}
    if engine.restarting:
        return Sign("engine_restarting", "critical", f"The engine hung and is started again: {told}.", values)
    if engine.quarantined:
        return Sign("engine_frozen", "critical", f"The engine hangs: {told}.", values)
    return Sign("engine_down", "critical", f"The {engine.kind} engine does not work: {told}.", values, engine.kind)


def _progress(vitals: Vitals, memory: NodeMemory, node: SeenNode, now: float) -> list[Sign]:
    """No token while requests run."""
    total = vitals.tokens_total if vitals.tokens_total is not None else -1
    grew = total != memory.tokens or (total < 0 and vitals.tokens_per_second > 0)
    if not vitals.running or grew or not memory.moved_at:
        memory.moved_at = now
    memory.tokens = total
    runs = "1 request runs" if vitals.running == 1 else f"{vitals.running} requests run"
    silence = vitals.silence
    if silence is not None:
        least = {"writing": 10.0, "reading": 30.0, "loading": 120.0}[silence.phase]
        if not silence.seconds >= max(least, silence.limit / 2):
            return []
        told = f"No token for {silence.seconds:.0f} s while {runs} ({silence.model})."
        values: dict[str, Value] = {
            "seconds": silence.seconds,
            "limit": silence.limit,
            "phase": silence.phase,
            "running": vitals.running,
        }
        frozen = silence.seconds >= silence.limit or (silence.phase == "writing" and silence.seconds >= NO_PROGRESS)
        return [Sign("no_tokens", "critical" if frozen else "warning", told, values, clear=5.0)]
    seconds = now - memory.moved_at
    if vitals.running and seconds >= (10 * NO_PROGRESS if node.loading else NO_PROGRESS):
        told = f"No token for {seconds:.0f} s while {runs}."
        return [Sign("no_tokens", "critical", told, {"seconds": round(seconds), "running": vitals.running}, clear=5.0)]
    return []


def _host(vitals: Vitals, memory: NodeMemory) -> list[Sign]:
    signs = []
    used = _share(vitals.memory_used, vitals.memory_total)
    if bad := above(used, 0.93, 0.98, 0.02, before(memory.held, "memory_full")):
        free = max(0, vitals.memory_total - vitals.memory_used) / _GIB
        told = f"Its memory is {used * 100:.0f} % full: {free:.1f} GiB are left."
        values: dict[str, Value] = {"percent": round(used * 100, 1), "free_gib": round(free, 2)}
        signs.append(Sign("memory_full", bad, told, values, hold=20.0, clear=20.0))
    used = _share(vitals.disk_used, vitals.disk_total)
    free = max(0, vitals.disk_total - vitals.disk_used) / _GIB
    known = before(memory.held, "disk_full")
    # Of a large disk a tenth is room enough.
    if free < 100 + (10 if known else 0) and (bad := above(used, 0.9, 0.98, 0.02, known)):
        told = f"Its disk is {used * 100:.0f} % full: {free:.1f} GiB are left for models."
        left: dict[str, Value] = {"percent": round(used * 100, 1), "free_gib": round(free, 2)}
        signs.append(Sign("disk_full", bad, told, left, hold=20.0, clear=20.0))
    skew = vitals.clock_skew_seconds
    if skew is not None and abs(skew) >= (MOST_SKEW * 0.8 if before(memory.held, "clock_skew") else MOST_SKEW):
        way = "ahead" if skew > 0 else "behind"
        told = f"Its clock is {abs(skew):.0f} s {way}."
        signs.append(Sign("clock_skew", "warning", told, {"seconds": skew}, hold=20.0, clear=20.0))
    return signs


def _share(used: int, total: int) -> float:
    """No more than all, whatever a node says."""
    return min(1.0, used / total) if total > 0 else 0.0


def _models(node: SeenNode) -> list[Sign]:
    return [
        Sign(
            "model_failed",
            "warning",
            f"The model {model.name} could not be made ready: {(model.error or 'it does not say why').rstrip('.')[:300]}.",
            {"model": model.name, "version": model.version},
            model.version,
            clear=5.0,
        )
        for model in node.failed
    ]


def _skew(agent: str, own: str) -> Sign | None:
    """An agent of another release than the control plane; what is no release, such as a build of a developer, is not compared."""
    theirs, ours = _VERSION.match(agent), _VERSION.match(own)
    if theirs is None or ours is None or agent == own:
        return None
    far = theirs[1] != ours[1] or abs(int(theirs[2]) - int(ours[2])) > 1
    told = f"Its agent is version {agent}, and the control plane is {own}."
    return Sign("agent_version", "warning" if far else "notice", told, {"agent": agent, "control_plane": own})
