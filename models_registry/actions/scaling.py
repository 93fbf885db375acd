"""Decides how many replicas of each version with an objective are to be in memory, and what is worth keeping warm: written where the plan of placement reads it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable

from django.db.models import Q
from django.utils import timezone

from cluster.autoscaling.decision import decide
from cluster.queries.history import CountedPast, counted_past
from models_registry.models import ReplicationPolicy
from models_registry.queries.placement import PlacementSnapshot, planned
from models_registry.queries.scaling import (
    KnownScaling,
    hours_to_read,
    keep_scaling,
    known_scaling,
    measured,
    open_requests,
    told,
    warmth_of,
)
from models_registry.replication.scaling import ScalingTerms
from ollamamax import logs
from ollamamax.identity.scope import every_tenant, tenant_scope

_log = logs.get(__name__)


def decide_scaling(check: Callable[[], None] = lambda: None, now: datetime.datetime | None = None) -> int:
    """For each tenant whose terms say so. Returns for how many versions there is a decision or a warmth.

    ``check`` raises when another process does this by now. Queries: 1 where no tenant has such terms, else those of a plan and 2 for each. Raises `RedisError`.
    """
    asked = Q(terms__has_key="scaling") | Q(terms__keep_warm=True)
    with every_tenant():
        tenants = sorted(set(ReplicationPolicy.objects.filter(asked).values_list("tenant_id", flat=True)))
    count = 0
    for tenant in tenants:
        check()
        with tenant_scope(tenant):
            count += _decide(tenant, now or timezone.now())
    return count


def _decide(tenant: uuid.UUID, now: datetime.datetime) -> int:
    found, known, at = planned(tenant), known_scaling(tenant), now.timestamp()
    scaled = {digest: terms.scaling for digest, terms in found.terms.items() if terms.scaling is not None}
    digests = [each.digest for each in found.versions if each.digest in scaled or found.keep_warm]
    back = max((each.zero_after_seconds or 0 for each in scaled.values()), default=0)
    names = {name for digest in digests for name in found.channels[digest]}
    past = counted_past(tenant, names, hours_to_read(at, back), at)
    requests = open_requests(tenant, digests, found.shared)
    decided: dict[str, KnownScaling] = {}
    for digest in digests:
        steps = [step for name in found.channels[digest] for step in past.steps[name]]
        likely = warmth_of(steps, past, at) if found.keep_warm else None
        before = known.get(digest)
        if (terms := scaled.get(digest)) is None:
            decided[digest] = KnownScaling(at, False, warmth=likely, measured_at=past.measured_at)
        else:
            decided[digest] = _scaled(found, digest, terms, past, requests[digest], before, now, likely)
        if before is not None and before.wanted != decided[digest].wanted:
            _log.info("scaling_decided", version=digest, wanted=decided[digest].wanted, reason=decided[digest].reason)
    keep_scaling(tenant, decided)
    return len(decided)


def _scaled(
    found: PlacementSnapshot,
    digest: str,
    terms: ScalingTerms,
    past: CountedPast,
    requests: tuple[int, int],
    before: KnownScaling | None,
    now: datetime.datetime,
    likely: float | None,
) -> KnownScaling:
    bounds = found.terms[digest]
    objective = terms.objective(now, bounds.least_loaded or 0, bounds.most_loaded)
    seen = measured(
        [step for name in found.channels[digest] for step in past.steps[name]],
        past,
        objective,
        now.timestamp(),
        running=requests[0],
        waiting=requests[1],
        replicas=found.replicas(digest),
        slots=found.slots(digest),
        before=before,
    )
    recent = before.recent if before is not None and before.scaled else None
    decision = decide(objective, seen, recent or None, now.timestamp())
    return told(decision, seen, now.timestamp(), likely, objective.least)
