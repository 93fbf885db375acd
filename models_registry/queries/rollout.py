"""Reads rollouts, which nodes have their versions, and the answers that they have not counted yet."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from cluster.models import Node
from models_registry.models import Channel, Replica, Rollout, RolloutAnswer
from models_registry.queries.model import get_channel
from models_registry.rollout.plan import OPEN, CountedAnswer
from ollamamax.identity.queries.role import restrict
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.metering.queries import ended_of_model

MOST_ANSWERS = 20_000
"""That are counted at once; the rest with the next look."""
HARDWARE = "hardware"
"""The label of nodes that says which are of one kind."""
_SPEED_FROM = 8
"""Tokens from which an answer's speed is told by more than chance."""
_SEEN = ("model.view", "model.manage")


@dataclass(frozen=True)
class UncountedAnswer:
    """``answer`` is ``None`` for one that says nothing about its version: it was cancelled, or its gateway was lost."""

    request: uuid.UUID
    received: datetime.datetime
    answer: CountedAnswer | None


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
    """Two queries."""
    ready = Replica.objects.filter(state__in=(Replica.State.READY, Replica.State.PRESENT), node__schedulable=True)
    return HeldBy(
        ready.filter(version__digest=rollout.from_version).count(),
        ready.filter(version__digest=rollout.to_version).count(),
    )


def uncounted(rollout: Rollout, since: datetime.datetime) -> list[UncountedAnswer]:
    """Answers under the channel's name to requests that came since then, and since the rollout began, which it has not counted. Two queries."""
    name = f"{rollout.channel.model.name}:{rollout.channel.name}"
    since = max(since, rollout.created_at)
    counted = RolloutAnswer.objects.filter(rollout=rollout).values("request")
    tenant = None if rollout.channel.model.shared else rollout.tenant_id
    records = ended_of_model(tenant, name, (rollout.from_version, rollout.to_version), since)
    found = records.exclude(request__in=counted).order_by("request")[:MOST_ANSWERS]
    rows = list(
        found.values_list(
            *("request", "received_at", "version", "node", "outcome", "status"),
            *("queue_ms", "first_token_ms", "duration_ms", "completion_tokens"),
        )
    )
    kinds = _kinds({row[3] for row in rows if row[3] is not None})
    answers = []
    for request, received, version, node, outcome, status, queue, first, duration, tokens in rows:
        answer = None
        if node is not None and outcome in {"ok", "failed", "node_lost"}:
            failed = outcome != "ok" and (status is None or status >= 500)
            answer = CountedAnswer(
                new=version == rollout.to_version,
                kind=kinds.get(node, ""),
                failed=failed,
                first_token_ms=None if first is None else max(0.0, first - (queue or 0.0)),
                token_ms=None if first is None or tokens < _SPEED_FROM else (duration - first) / (tokens - 1),
            )
        answers.append(UncountedAnswer(request, received, answer))
    return answers


def _kinds(nodes: set[uuid.UUID]) -> dict[uuid.UUID, str]:
    """By node: its engine and its hardware, as its label says."""
    found = Node.objects.filter(pk__in=nodes).values_list("id", "engine", "labels")
    return {node: f"{engine} {labels.get(HARDWARE, '')}".strip() for node, engine, labels in found}
