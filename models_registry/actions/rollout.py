"""Rollouts: a channel moved to another version in steps, watched, and taken back when the new version does worse."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from models_registry import publication
from models_registry.actions.lock import lock_names
from models_registry.actions.point import MOST_REASON, point_names
from models_registry.actions.release import enter_stage
from models_registry.actions.rollout_evaluation import evaluation_detail, look
from models_registry.actions.rollout_memory import SeenMemory, keep, let_go, seen_memory, warm
from models_registry.lifecycle import KEPT_ON_NODES, ReleaseStage, check_step, check_target
from models_registry.models import Channel, Release, Rollout, RolloutAnswer
from models_registry.queries import rollout as queries
from models_registry.queries.model import get_channel
from models_registry.queries.release import channels_at, release_in
from models_registry.rollout.evaluation import awaited
from models_registry.rollout.plan import (
    OPEN,
    HeldReplicas,
    RolloutGates,
    RolloutProgress,
    RolloutState,
    begin_step,
    check_gates,
    compare_with,
    judge,
    kept_gates,
    take,
)
from models_registry.rollout.shadow import ShadowComparison
from models_registry.rollout.steps import (
    USUAL,
    RolloutKind,
    RolloutStep,
    check_steps,
    ends_with,
    kept_steps,
    share_of,
)
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus.loops import NotLeading
from ollamamax.identity.rights import require, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound, OllamaMaxError
from ollamamax.kernel.principal import Principal, system

MOST_EVENTS = 200
LATEST = datetime.timedelta(minutes=30)
"""Answers are counted when they ended at most so long after their request came."""
LET_GO = datetime.timedelta(seconds=150)
"""For so long after its end a version that nobody has any more is asked to leave memory where it is still."""
LONGEST_TICK = 5.0
"""Seconds by which a step can get older between two looks: what nobody watched does not count."""
Act = Literal["pause", "resume", "advance", "roll_back"]
_PART = "models_registry.run_rollouts"
_log = logs.get(__name__)


def start_rollout(
    *,
    acting: Principal,
    channel_id: uuid.UUID,
    version: str,
    kind: RolloutKind = RolloutKind.STAGED,
    steps: Sequence[RolloutStep] | None = None,
    gates: RolloutGates | None = None,
    reason: str = "",
) -> Rollout:
    """Begin to move a channel to another version of its model. Nodes fetch it first; a draft becomes staged, and so does what the channel points at.

    ``steps``: as is usual of its ``kind``, where none are given.

    Raises `NotFound`, `Forbidden`, `InvalidRequest` for steps or gates that cannot be, and `Conflict` while another rollout of the channel is under
    way, for a version that the channel may not point at, and for one that has reached less in its gate's suite than it has to.
    """
    tenant = require_somewhere(acting, "model.manage")
    steps = USUAL[kind] if steps is None else steps
    check_steps(kind, steps)
    check_gates(gates := gates or RolloutGates())
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        channel = get_channel(acting, channel_id)
        _require(acting, channel)
        release, before = release_in(channel, version), release_in(channel, channel.version.digest)
        if release.version_id == channel.version_id:
            raise Conflict(f"'{channel.name}' points at this version already.", param="version")
        if queries.open_rollout_of(channel) is not None:
            raise Conflict(f"A rollout of '{channel.name}' is under way: end that first.", param="version")
        check_target(channel.name, channel.protected, ReleaseStage(release.stage))
        progress = RolloutProgress()
        noted = look(progress, gates, channel, release, channel.version.digest)
        if gates.evaluation is not None and progress.evaluation is not None:
            if not progress.evaluation.scores.suite_name:
                raise NotFound("There is no such suite as the gate 'evaluation' names.", param="gates")
            if progress.evaluation.state == "closed":
                raise Conflict(progress.evaluation.why, param="gates")
        for each in (release, before):
            _stage(each)
        rollout = Rollout.objects.create(
            tenant_id=tenant,
            channel=channel,
            from_version=channel.version.digest,
            to_version=version,
            kind=kind,
            steps=kept_steps(steps),
            gates=kept_gates(gates),
            progress=msgspec.to_builtins(progress),
            why="Nodes fetch the version.",
            reason=reason[:MOST_REASON],
            by_kind=acting.kind,
            by_id=acting.id,
            by_name=acting.name,
        )
        _note(rollout, "started", acting)
        if noted:
            _note(rollout, noted, acting)
        rollout.save()
        record(
            acting=acting,
            action="rollout.start",
            target_type="rollout",
            target_id=rollout.id,
            tenant=tenant,
            detail={**_detail(rollout), "reason": rollout.reason},
        )
    return rollout


def change_rollout(*, acting: Principal, rollout_id: uuid.UUID, act: Act, reason: str = "") -> Rollout:
    """``pause``: its share stays as it is, and its gates are looked at still; ``resume``: it goes on; ``advance``: the next step now, whatever it waits
    for but an evaluation, of which the last moves the channel; ``roll_back``: new requests have the old version within a second.

    What it is already, it stays. Raises `NotFound`, `Forbidden`, and `Conflict` for what does not follow.
    """
    tenant = require_somewhere(acting, "model.manage")
    reason = reason[:MOST_REASON]
    with tenant_scope(tenant):
        memory = _memory(queries.get_rollout(acting, rollout_id))
        with transaction.atomic(durable=True):
            lock_names(tenant)
            queries.lock_rollout(rollout_id)
            rollout = queries.get_rollout(acting, rollout_id)
            _require(acting, rollout.channel)
            if _ACTS[act](rollout, acting, reason, memory):
                rollout.save()
                record(
                    acting=acting,
                    action=f"rollout.{act}",
                    target_type="rollout",
                    target_id=rollout.id,
                    tenant=tenant,
                    detail={**_detail(rollout), "reason": reason},
                )
    return rollout


def run_rollouts(check: Callable[[], None] = lambda: None) -> int:
    """Look at all that are under way: count answers, take steps, take back. Returns how many there were. Safe to run twice.

    ``check`` raises when another process does this by now. One that cannot be looked at keeps no other from it: what is a fault of ours is raised
    when all had their turn. Queries: 1, and some 8 for each that is under way.
    """
    with every_tenant():
        found = list(Rollout.objects.filter(state__in=OPEN))
    fault: Exception | None = None
    for rollout in found:
        try:
            with tenant_scope(rollout.tenant_id):
                memory = _memory(rollout)
                with transaction.atomic(durable=True):
                    check()
                    lock_names(rollout.tenant_id)
                    _watch(rollout.id, memory)
        except OllamaMaxError as error:
            _log.error("rollout_not_watched", rollout=rollout.id.hex, error=error.message)
        except (NotLeading, OperationalError, InterfaceError):
            raise  # of all: somebody else leads, or Postgres is away
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, it is told below
            _log.exception("rollout_not_watched", rollout=rollout.id.hex)
            fault = fault or error
    _let_go_again()
    if fault is not None:
        raise fault
    return len(found)


def _let_go_again() -> None:
    """Of those that ended a moment ago: what was asked of nodes then may be lost with who asked, or with Redis. Queries: 1, and 5 for each."""
    with every_tenant():
        ended = list(Rollout.objects.filter(kind=RolloutKind.BLUE_GREEN, ended_at__gte=timezone.now() - LET_GO))
    for rollout in ended:
        with tenant_scope(rollout.tenant_id):
            _let_go(rollout, seen_memory(rollout))


def _let_go(rollout: Rollout, memory: SeenMemory) -> None:
    let_go(rollout, rollout.from_version, memory.old)
    let_go(rollout, rollout.to_version, memory.new)


def _watch(rollout_id: uuid.UUID, memory: SeenMemory | None) -> None:
    rollout = queries.lock_rollout(rollout_id)
    if rollout is None or rollout.state not in OPEN:
        return
    channel, acting = rollout.channel, system(_PART, rollout.tenant_id.hex)
    if channel.version.digest != rollout.from_version:
        _end(rollout, RolloutState.SUPERSEDED, "The channel was moved by other means.", acting, memory)
        return
    release = Release.objects.filter(model_id=channel.model_id, version__digest=rollout.to_version).first()
    if release is None or release.stage not in KEPT_ON_NODES:
        why = "The new version is not there any more, or not staged."
        _end(rollout, RolloutState.ROLLED_BACK, why, acting, memory)
        return
    progress, steps, gates = _progress(rollout), _steps(rollout), _gates(rollout)
    before, held = progress.replicas, _held(rollout, memory)
    progress.replicas = held
    if noted := look(progress, gates, channel, release, rollout.from_version):
        _note(rollout, noted, acting)
    if rollout.state == RolloutState.PRELOADING:
        rollout.progress = msgspec.to_builtins(progress)
        if progress.evaluation is not None and progress.evaluation.state == "closed":
            _end(rollout, RolloutState.ROLLED_BACK, progress.evaluation.why, acting, memory)
        elif held.new < held.old or not held.new:
            rollout.why = f"{held.new} of {max(held.old, 1)} nodes have the new version."
        elif memory is not None and (why := _unready(memory)):
            rollout.why = why
            warm(rollout, memory)
        elif (missing := awaited(gates.evaluation, progress.evaluation, share_of(steps, 0))) is not None:
            rollout.why = missing
        else:
            _step(rollout, 0, acting, memory)
        rollout.save()
        return
    if held.old and not held.new:
        _end(rollout, RolloutState.ROLLED_BACK, "No node has the new version any more.", acting, memory)
        return
    if memory is not None and before is not None and before.old_loaded and not held.old_loaded:
        _note(rollout, "the old version is in no node's memory any more: a rollback waits until it is loaded", acting)
    now = timezone.now()
    if rollout.state == RolloutState.RUNNING and rollout.stepped_at is not None:
        progress.seconds += min(LONGEST_TICK, max(0.0, (now - rollout.stepped_at).total_seconds()))
    rollout.stepped_at = now
    (_compare if steps[progress.step].shadow else _count)(rollout, progress, gates, now)
    verdict = judge(progress, steps, gates.evaluation, gates.same_answers)
    rollout.progress, rollout.why = msgspec.to_builtins(progress), verdict.why[:MOST_REASON]
    if verdict.act == "back":
        _end(rollout, RolloutState.ROLLED_BACK, verdict.why, acting, memory)
    elif verdict.act == "go" and rollout.state == RolloutState.RUNNING:
        _step(rollout, progress.step + 1, acting, memory)
        rollout.save()
    else:
        rollout.save()
        if memory is not None and not steps[progress.step].shadow:
            keep(rollout, memory)


def _held(rollout: Rollout, memory: SeenMemory | None) -> HeldReplicas:
    found = queries.nodes_with(rollout)
    loaded = (0, 0) if memory is None else (len(memory.old.loaded), len(memory.new.loaded))
    return HeldReplicas(found.old, found.new, *loaded)


def _unready(memory: SeenMemory) -> str:
    """Why the switch waits for memory; empty when it does not."""
    if not memory.heard:
        return "No node tells what it has in memory."
    if not memory.lacking:
        return ""
    return f"{len(memory.new.loaded)} of {len(memory.old.loaded)} nodes have the new version in memory."


def _count(rollout: Rollout, progress: RolloutProgress, gates: RolloutGates, now: datetime.datetime) -> None:
    """Take every answer once: which were taken is written down in the same transaction."""
    found = queries.uncounted(rollout, now - LATEST)
    _note_counted(rollout, {each.request: each.received for each in found}, now)
    take(progress, gates, [each.answer for each in found if each.answer is not None])


def _compare(rollout: Rollout, progress: RolloutProgress, gates: RolloutGates, now: datetime.datetime) -> None:
    """Take every request of shadow traffic once, with the one that it ran again: neither is counted in a later step."""
    found = queries.unpaired(rollout, now - LATEST)
    _note_counted(rollout, {request: each.received for each in found for request in each.requests}, now)
    pairs = [each for each in found if each.pair is not None]
    if pairs:
        progress.shadow = progress.shadow or ShadowComparison()
        progress.shadow.take([each.pair for each in pairs if each.pair is not None])
    take(progress, gates, [answer for each in pairs for answer in each.answers])


def _note_counted(rollout: Rollout, received: Mapping[uuid.UUID, datetime.datetime], now: datetime.datetime) -> None:
    counted = [
        RolloutAnswer(rollout=rollout, tenant_id=rollout.tenant_id, request=request, received_at=at)
        for request, at in received.items()
    ]
    # Of steps before, the old version's answer may have been counted by itself.
    RolloutAnswer.objects.bulk_create(counted, ignore_conflicts=True)
    RolloutAnswer.objects.filter(rollout=rollout, received_at__lt=now - LATEST * 2).delete()


def _pause(rollout: Rollout, acting: Principal, reason: str, _: SeenMemory | None) -> bool:
    if rollout.state == RolloutState.PAUSED:
        return False
    _require_state(rollout, RolloutState.RUNNING)
    rollout.state, rollout.why = RolloutState.PAUSED, reason or f"Paused by {acting.name}."
    _note(rollout, "paused", acting)
    return True


def _resume(rollout: Rollout, acting: Principal, reason: str, _: SeenMemory | None) -> bool:
    if rollout.state == RolloutState.RUNNING:
        return False
    _require_state(rollout, RolloutState.PAUSED)
    rollout.state, rollout.why, rollout.stepped_at = RolloutState.RUNNING, reason, timezone.now()
    _note(rollout, "resumed", acting)
    return True


def _advance(rollout: Rollout, acting: Principal, reason: str, memory: SeenMemory | None) -> bool:
    _require_state(rollout, *OPEN)
    if rollout.channel.version.digest != rollout.from_version:
        raise Conflict("The channel was moved by other means.")
    progress, gates = _progress(rollout), _gates(rollout)
    step = 0 if rollout.state == RolloutState.PRELOADING else progress.step + 1
    look(progress, gates, rollout.channel, release_in(rollout.channel, rollout.to_version), rollout.from_version)
    why = awaited(gates.evaluation, progress.evaluation, share_of(_steps(rollout), step))
    if why is not None:
        raise Conflict(f"Its gate 'evaluation' is not passed. {why}")
    rollout.progress, rollout.why = msgspec.to_builtins(progress), reason
    _step(rollout, step, acting, memory)
    return True


def _take_back(rollout: Rollout, acting: Principal, reason: str, memory: SeenMemory | None) -> bool:
    if rollout.state == RolloutState.ROLLED_BACK:
        return False
    _require_state(rollout, *OPEN)
    _end(rollout, RolloutState.ROLLED_BACK, reason or f"Taken back by {acting.name}.", acting, memory)
    return True


def _memory(rollout: Rollout) -> SeenMemory | None:
    """What nodes have in memory, where that matters."""
    return seen_memory(rollout) if rollout.kind == RolloutKind.BLUE_GREEN else None


def _require_state(rollout: Rollout, *states: RolloutState) -> None:
    if rollout.state not in states:
        raise Conflict(f"The rollout is {rollout.get_state_display()}.")


def _step(rollout: Rollout, number: int, acting: Principal, memory: SeenMemory | None) -> None:
    """Begin a step, or end the rollout with it: where all conversations have the new version the channel is moved."""
    steps, progress = _steps(rollout), _progress(rollout)
    before = share_of(steps, progress.step) if rollout.state != RolloutState.PRELOADING else 0.0
    if ends_with(RolloutKind(rollout.kind), steps, number):
        why = "It is over, and the channel stays where it is."
        if rollout.kind != RolloutKind.SHADOW:
            _move(rollout, acting)
            why = "The channel points at the new version."
        _end(rollout, RolloutState.DONE, why, acting, memory)
        return
    begin_step(progress, steps, number)
    step, detail = steps[number], {"before": before, "after": share_of(steps, number)}
    rollout.state, rollout.stepped_at = RolloutState.RUNNING, timezone.now()
    if step.shadow:
        detail["shadow"] = step.share
        _note(rollout, f"{step.share:.2%} of requests are run again on the new version, and not shown", acting)
    elif rollout.kind == RolloutKind.BLUE_GREEN:
        compare_with(progress, _gates(rollout), queries.answers_before(rollout, rollout.stepped_at), step.requests)
        told = f"switched: all conversations have the new version, and the old one is kept for {step.seconds:.0f} s"
        _note(rollout, told, acting)
        if memory is not None:
            keep(rollout, memory)
    else:
        _note(rollout, f"{step.share:.2%} of conversations have the new version", acting)
    rollout.progress = msgspec.to_builtins(progress)
    record(
        acting=acting,
        action="rollout.step",
        target_type="rollout",
        target_id=rollout.id,
        tenant=rollout.tenant_id,
        detail={**_detail(rollout), **detail},
    )
    publication.publish_channels_on_commit([rollout.channel])


def _move(rollout: Rollout, acting: Principal) -> None:
    channel = rollout.channel
    release = release_in(channel, rollout.to_version)
    [rollout.channel] = point_names(
        rollout.tenant_id,
        channel.model.name,
        [channel.name],
        release.version,
        by=acting,
        reason=f"rollout {rollout.id}",
        origin=release.origin,
    )


def _end(rollout: Rollout, state: RolloutState, why: str, acting: Principal, memory: SeenMemory | None) -> None:
    rollout.state, rollout.why, rollout.ended_at = state, why[:MOST_REASON], timezone.now()
    _note(rollout, f"{state.replace('_', ' ')}: {why}", acting)
    rollout.save()
    RolloutAnswer.objects.filter(rollout=rollout).delete()
    if acting.kind == "system":
        record(
            acting=acting,
            action=f"rollout.{state}",
            target_type="rollout",
            target_id=rollout.id,
            tenant=rollout.tenant_id,
            detail={**_detail(rollout), "why": rollout.why},
        )
    if memory is not None:
        _let_go(rollout, memory)
    publication.publish_channels_on_commit([rollout.channel])


def _stage(release: Release) -> None:
    """Nodes have it from now on, whether or not a channel points at it."""
    held = ReleaseStage(release.stage)
    if held in KEPT_ON_NODES:
        return
    check_step(held, ReleaseStage.STAGED, channels_at(release))
    enter_stage(release, ReleaseStage.STAGED)


def _require(acting: Principal, channel: Channel) -> None:
    permission = "model.promote" if channel.protected else "model.manage"
    require(acting, permission, reference("model", channel.model_id))


def _note(rollout: Rollout, what: str, acting: Principal) -> None:
    event = {"at": timezone.now().isoformat(), "what": what[:MOST_REASON], "by": acting.name}
    rollout.events = [*rollout.events, event][-MOST_EVENTS:]


def _detail(rollout: Rollout) -> dict[str, Any]:
    return {
        "model": rollout.channel.model.name,
        "channel": rollout.channel.name,
        "kind": rollout.kind,
        "from": rollout.from_version,
        "to": rollout.to_version,
        **evaluation_detail(_progress(rollout), _gates(rollout)),
    }


def _progress(rollout: Rollout) -> RolloutProgress:
    return msgspec.convert(rollout.progress, RolloutProgress)


def _gates(rollout: Rollout) -> RolloutGates:
    return msgspec.convert(rollout.gates, RolloutGates)


def _steps(rollout: Rollout) -> list[RolloutStep]:
    return msgspec.convert(rollout.steps, list[RolloutStep])


_ACTS: dict[Act, Callable[[Rollout, Principal, str, SeenMemory | None], bool]] = {
    "pause": _pause,
    "resume": _resume,
    "advance": _advance,
    "roll_back": _take_back,
}
"""Each returns whether anything changed."""
