"""What callers do with evaluations: order one, cancel one."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry.lifecycle import KEPT_ON_NODES
from models_registry.models import Version
from models_registry.queries.release import channels_at, lock_release
from ollamamax.audit.actions import record
from ollamamax.batches.actions.batch import key_to_run_as
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.evaluations.actions.kept import forget_old
from ollamamax.evaluations.actions.lease import WORK
from ollamamax.evaluations.models import Evaluation
from ollamamax.evaluations.queries.evaluation import get_evaluation, unfinished
from ollamamax.evaluations.queries.suite import lock_suite
from ollamamax.identity.bounds import EVALUATIONS, require_room
from ollamamax.identity.rights import require, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest
from ollamamax.kernel.principal import Principal

LEAST_SECONDS, MOST_SECONDS = 10, 7 * 24 * 3600
State = Evaluation.State


def start_evaluation(
    *,
    acting: Principal,
    release_id: uuid.UUID,
    suite: uuid.UUID,
    key: uuid.UUID | None = None,
    timeout_seconds: int = 3600,
) -> Evaluation:
    """Order an evaluation of a version; a runner takes it up, and asks its cases as ``key``: by default the one that orders it.

    Raises `NotFound`, `Forbidden`, `InvalidRequest` for a key that cannot run it, and `Conflict` for a version that no node is to have, or that is
    evaluated by this suite already.
    """
    tenant = require_somewhere(acting, "model.manage")
    if acting.kind != "key" and key is None:
        raise InvalidRequest("An evaluation needs an API key, as which its requests are run.", param="key")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        release = lock_release(acting, release_id)
        require(acting, "model.manage", reference("model", release.model_id))
        found = lock_suite(suite)
        if release.version.source == Version.Source.ARTIFACT:
            raise Conflict("It is an artefact, which no node serves.")
        if release.stage not in KEPT_ON_NODES and not channels_at(release):
            raise Conflict(f"The version is {release.stage}, and no node is to have it: stage it first.")
        runs_as = key_to_run_as(acting, uuid.UUID(acting.id) if key is None else key)
        require_room(EVALUATIONS, unfinished())
        if unfinished().filter(release=release, suite=found).exists():
            raise Conflict("This version is being evaluated by this suite already.", param="suite")
        # With this one as many are kept as may be.
        forget_old(found.id, [release.pk], settings.ENV["OLLAMAMAX_EVALUATIONS_KEPT"] - 1)
        made = Evaluation(
            tenant_id=tenant,
            release=release,
            suite=found,
            suite_name=found.name,
            suite_digest=found.digest,
            key=runs_as,
            expires_at=timezone.now() + datetime.timedelta(seconds=timeout_seconds),
            by_kind=acting.kind,
            by_id=acting.id,
            by_name=acting.name,
        )
        made.put_cases(found.cases)
        made.save(force_insert=True)
        call_on_commit(WORK)
        record(
            acting=acting,
            action="version.evaluate",
            target_type="version",
            target_id=release.version.digest,
            tenant=tenant,
            detail={
                "model": release.model.name,
                "suite": found.name,
                "suite_digest": found.digest,
                "evaluation": made.id.hex,
                "key": runs_as.identifier,
            },
        )
    return made


def cancel_evaluation(*, acting: Principal, evaluation_id: uuid.UUID) -> Evaluation:
    """End one; its runner stops within a second, and results so far stay. Asked again, nothing changes.

    Raises `NotFound`, `Forbidden`, and `Conflict` for one that has ended by itself.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        Evaluation.objects.select_for_update().filter(pk=evaluation_id).first()
        evaluation = get_evaluation(acting, evaluation_id)
        require(acting, "model.manage", reference("model", evaluation.release.model_id))
        if evaluation.state == State.CANCELLED:
            return evaluation
        if evaluation.state not in Evaluation.UNFINISHED:
            raise Conflict(f"An evaluation that is {evaluation.state} cannot be cancelled.")
        evaluation.state, evaluation.ended_at = State.CANCELLED, timezone.now()
        evaluation.runner, evaluation.lease_until = "", None
        evaluation.save(update_fields=["state", "ended_at", "runner", "lease_until"])
        record(
            acting=acting,
            action="version.cancel_evaluation",
            target_type="version",
            target_id=evaluation.release.version.digest,
            tenant=tenant,
            detail={
                "model": evaluation.release.model.name,
                "suite": evaluation.suite_name,
                "evaluation": evaluation.id.hex,
                "done": evaluation.done,
                "total": evaluation.total,
            },
        )
    return evaluation
