"""Reads rollouts, which nodes have their versions, and the answers that they have not counted yet."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from cluster.models import Node
from models_registry.models import Channel, Replica, Rollout, RolloutAnswer
from models_registry.queries.model import get_channel
from models_registry.rollout.plan import OPEN, CountedAnswer
from models_registry.rollout.shadow import ShadowAnswer, ShadowPair
from ollamamax.identity.queries.role import restrict
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.metering.models import UsageRecord
from ollamamax.metering.versions import ended_of_model, records_of, shadows_of_model

MOST_ANSWERS = 20_000
"""That are counted at once; the rest with the next look."""
LONGEST_BEFORE = datetime.timedelta(days=1)
MOST_BEFORE = 5_000
"""Of the old version's answers, that the new one is compared with after a switch."""
HARDWARE = "hardware"
"""The label of nodes that says which are of one kind."""
_SPEED_FROM = 8
"""Tokens from which an answer's speed is told by more than chance."""
_TELLING = frozenset({"ok", "failed", "node_lost"})
"""Outcomes that say something about a version."""
_SEEN = ("model.view", "model.manage")


@dataclass(frozen=True)
class UncountedAnswer:
    """``answer`` is ``None`` for one that says nothing about its version: it was cancelled, or its gateway was lost."""

    request: uuid.UUID
    received: datetime.datetime
    answer: CountedAnswer | None


@dataclass(frozen=True)
class UncountedPair:
    """A request of shadow traffic and the one that it ran again, as one pair and as the answers of both; nothing where one of them says nothing."""

    requests: tuple[uuid.UUID, ...]
    received: datetime.datetime
    pair: ShadowPair | None
    answers: tuple[CountedAnswer, ...]


@dataclass(frozen=True)
class HeldBy:
    """How many nodes have the version that the channel points at, and the new one."""

    old: int
    new: int


def rollouts(acting: Principal) -> QuerySet[Rollout]:
    """Of models that ``acting`` may see, the newest first."""
    found = Rollout.objects.select_related("channel__model", "channel__version").order_by("-id")
    return restrict(acting, _SEEN, "model", found, "channel__model")


def rollouts_of(acting: Principal, channel_id: uuid.UUID) -> QuerySet[Rollout]:
    """Of all channels of the model that has this one. Raises `NotFound`."""
    return rollouts(acting).filter(channel__model_id=get_channel(acting, channel_id).model_id)


def get_rollout(acting: Principal, rollout_id: uuid.UUID) -> Rollout:
    """Raises `NotFound`, also for one of a model that ``acting`` may not see."""
    found = rollouts(acting).filter(pk=rollout_id).first()
    if found is None:
        raise NotFound("There is no such rollout.")
    return found


def lock_rollout(rollout_id: uuid.UUID) -> Rollout | None:
    """In the scope of its tenant, for a transaction that changes it."""
    if Rollout.objects.select_for_update().filter(pk=rollout_id).first() is None:
        return None
    return Rollout.objects.select_related("channel__model", "channel__version").get(pk=rollout_id)


def open_rollout_of(channel: Channel) -> Rollout | None:
    return Rollout.objects.filter(channel=channel, state__in=OPEN).first()


def is_gate(suite: uuid.UUID) -> bool:
    """Whether a rollout that is under way has this evaluation suite as its gate."""
    return Rollout.objects.filter(state__in=OPEN, gates__evaluation__suite=str(suite)).exists()


def nodes_with(rollout: Rollout) -> HeldBy:
    """Of nodes that may be given requests: what one has that is not heard any more serves nobody. Two queries."""
    ready = Replica.objects.filter(
        state__in=(Replica.State.READY, Replica.State.PRESENT), node__schedulable=True
    ).exclude(node__lifecycle__in=(Node.Lifecycle.UNREACHABLE, Node.Lifecycle.LOST))
    return HeldBy(
        ready.filter(version__digest=rollout.from_version).count(),
        ready.filter(version__digest=rollout.to_version).count(),
    )


def uncounted(rollout: Rollout, since: datetime.datetime) -> list[UncountedAnswer]:
    """Answers under the channel's name to requests that came since then, and since the rollout began, which it has not counted. Two queries."""
    counted = RolloutAnswer.objects.filter(rollout=rollout).values("request")
    found = _answered(rollout, (rollout.from_version, rollout.to_version), max(since, rollout.created_at))
    return _answers(rollout, found.exclude(request__in=counted).order_by("request")[:MOST_ANSWERS])


def unpaired(rollout: Rollout, since: datetime.datetime) -> list[UncountedPair]:
    """Requests of shadow traffic that came since then, and since the rollout began, which it has not counted, each with the one that it ran again,
    where that is written by now. Three queries."""
    counted = RolloutAnswer.objects.filter(rollout=rollout).values("request")
    shadows = list(
        _shadows(rollout, max(since, rollout.created_at))
        .exclude(request__in=counted)
        .order_by("request")[:MOST_ANSWERS]
    )
    originals = {
        each.request: each
        for each in records_of(_tenant(rollout), [each.shadow_of for each in shadows if each.shadow_of is not None])
    }
    kinds = _kinds({each.node for each in (*shadows, *originals.values()) if each.node is not None})
    found = []
    for shadow in shadows:
        original = originals.get(shadow.shadow_of) if shadow.shadow_of is not None else None
        if original is None:
            continue  # it may be written yet
        old, new = _seen(original), _seen(shadow)
        pair = None if old is None or new is None else ShadowPair(old, new, shadow.same_answer)
        found.append(
            UncountedPair(
                (shadow.request, original.request),
                shadow.received_at,
                pair,
                ()
                if old is None or new is None
                else tuple(
                    CountedAnswer(
                        new=each is shadow,
                        kind=kinds.get(each.node, "") if each.node is not None else "",
                        failed=answer.failed,
                        first_token_ms=answer.first_token_ms,
                        token_ms=answer.token_ms,
                    )
                    for each, answer in ((original, old), (shadow, new))
                ),
            )
        )
    return found


def _seen(row: UsageRecord) -> ShadowAnswer | None:
    """``None`` for one that says nothing about its version: it was cancelled, or its gateway was lost."""
    if row.node is None or row.outcome not in _TELLING:
        return None
    first, tokens = row.first_token_ms, row.completion_tokens
    return ShadowAnswer(_failed(row.outcome, row.status), *_times(row.queue_ms, first, row.duration_ms, tokens), tokens)


def _failed(outcome: str, status: int | None) -> bool:
    return outcome != "ok" and (status is None or status >= 500)


def _times(queue: float | None, first: float | None, duration: float, tokens: int) -> tuple[float | None, float | None]:
    """To the first token, without the wait for a slot, and for each further one; milliseconds."""
    if first is None:
        return None, None
    return max(0.0, first - (queue or 0.0)), None if tokens < _SPEED_FROM else max(0.0, duration - first) / (tokens - 1)


def answers_before(rollout: Rollout, until: datetime.datetime) -> list[CountedAnswer]:
    """The old version's last `MOST_BEFORE` answers under the channel's name to requests that came at most `LONGEST_BEFORE` before then, in the
    order of the requests. Those are left out that its shadow traffic ran again: they were compared by then, and evidence takes each answer once. Two queries."""
    found = _answered(rollout, (rollout.from_version,), until - LONGEST_BEFORE).filter(received_at__lt=until)
    found = found.exclude(request__in=_shadows(rollout, rollout.created_at).values("shadow_of"))
    answers = _answers(rollout, found.order_by("-request")[:MOST_BEFORE])
    return [each.answer for each in reversed(answers) if each.answer is not None]


def _answered(rollout: Rollout, versions: Sequence[str], since: datetime.datetime) -> QuerySet[UsageRecord]:
    return ended_of_model(_tenant(rollout), _name(rollout), versions, since)


def _shadows(rollout: Rollout, since: datetime.datetime) -> QuerySet[UsageRecord]:
    return shadows_of_model(_tenant(rollout), _name(rollout), rollout.to_version, since)


def _tenant(rollout: Rollout) -> uuid.UUID | None:
    return None if rollout.channel.model.shared else rollout.tenant_id


def _name(rollout: Rollout) -> str:
    return f"{rollout.channel.model.name}:{rollout.channel.name}"


def _answers(rollout: Rollout, records: QuerySet[UsageRecord]) -> list[UncountedAnswer]:
    rows = list(
        records.values_list(
            *("request", "received_at", "version", "node", "outcome", "status"),
            *("queue_ms", "first_token_ms", "duration_ms", "completion_tokens"),
        )
    )
    kinds = _kinds({row[3] for row in rows if row[3] is not None})
    answers = []
    for request, received, version, node, outcome, status, queue, first, duration, tokens in rows:
        answer = None
        if node is not None and outcome in _TELLING:
            answer = CountedAnswer(
                version == rollout.to_version,
                kinds.get(node, ""),
                _failed(outcome, status),
                *_times(queue, first, duration, tokens),
            )
        answers.append(UncountedAnswer(request, received, answer))
    return answers


def _kinds(nodes: set[uuid.UUID]) -> dict[uuid.UUID, str]:
    """By node: its engine and its hardware, as its label says."""
    found = Node.objects.filter(pk__in=nodes).values_list("id", "engine", "labels")
    return {node: f"{engine} {labels.get(HARDWARE, '')}".strip() for node, engine, labels in found}
