"""Suites: made, changed, deleted. One that promotion requires is changed and deleted only by who may say what promotion requires."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry.actions.lock import lock_names
from models_registry.queries.rollout import is_gate
from ollamamax.audit.actions import record
from ollamamax.evaluations.actions.kept import forget_old
from ollamamax.evaluations.cases import as_json, checked, digest_of
from ollamamax.evaluations.models import EvaluationSuite
from ollamamax.evaluations.queries.suite import lock_suite
from ollamamax.identity.bounds import EVALUATION_SUITES, require_room
from ollamamax.identity.rights import require, require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import Principal

OF_POLICY = "member.manage"
"""Who has this permission says what promotion requires."""


def create_suite(*, acting: Principal, name: str, cases: Any, description: str = "") -> EvaluationSuite:
    """Raises `InvalidRequest` for cases that cannot be run, and `Conflict` for a name that is taken."""
    tenant = require_in_tenant(acting, "model.manage")
    read = checked(cases)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        require_room(EVALUATION_SUITES, EvaluationSuite.objects.all())
        _require_free(name)
        made = EvaluationSuite(
            tenant_id=tenant, name=name, description=description, digest=digest_of(read), by_name=acting.name
        )
        made.put_cases(as_json(read))
        made.save(force_insert=True)
        record(
            acting=acting,
            action="suite.create",
            target_type="evaluation_suite",
            target_id=made.id,
            tenant=tenant,
            detail={"name": name, "cases": len(read), "digest": made.digest},
        )
    return made


def change_suite(
    *,
    acting: Principal,
    suite_id: uuid.UUID,
    name: str | None = None,
    description: str | None = None,
    cases: Any = None,
) -> EvaluationSuite:
    """What is ``None`` stays. With other cases, versions have to be evaluated again where promotion requires it.

    Raises `NotFound`, `Forbidden`, `InvalidRequest` and `Conflict` as `create_suite` does.
    """
    tenant = require_in_tenant(acting, "model.manage")
    read = None if cases is None else checked(cases)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        if read is not None:
            lock_names(tenant)  # no rollout is begun meanwhile
        suite = lock_suite(suite_id)
        before = {"name": suite.name, "description": suite.description, "digest": suite.digest}
        if name is not None and name != suite.name:
            _require_free(name)
            suite.name = name
        if description is not None:
            suite.description = description
        if read is not None:
            suite.digest = digest_of(read)
            suite.put_cases(as_json(read))
        after = {"name": suite.name, "description": suite.description, "digest": suite.digest}
        if before == after:
            return suite
        if before["digest"] != after["digest"]:
            if suite.requirements.all():
                require(acting, OF_POLICY)
            if is_gate(suite_id):
                raise Conflict(
                    "A rollout that is under way has these cases as its gate: end that first, or make another suite.",
                    param="cases",
                )
        suite.changed_at = timezone.now()
        suite.save()
        record(
            acting=acting,
            action="suite.change",
            target_type="evaluation_suite",
            target_id=suite.id,
            tenant=tenant,
            detail={"before": before, "after": after},
        )
    return suite


def delete_suite(*, acting: Principal, suite_id: uuid.UUID) -> None:
    """Its results stay with the versions. Raises `NotFound`, and `Conflict` for one that promotion requires or a rollout's gate names."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)  # no rollout is begun meanwhile
        suite = lock_suite(suite_id)
        if suite.requirements.all():
            raise Conflict("Promotion requires this suite: delete the requirement first.")
        if is_gate(suite_id):
            raise Conflict("A rollout that is under way has this suite as its gate: end that first.")
        record(
            acting=acting,
            action="suite.delete",
            target_type="evaluation_suite",
            target_id=suite.id,
            tenant=tenant,
            detail={"name": suite.name, "digest": suite.digest},
        )
        releases = list(suite.evaluations.values_list("release_id", flat=True).distinct())
        suite.delete()
        forget_old(None, releases, settings.ENV["OLLAMAMAX_EVALUATIONS_KEPT"])


def _require_free(name: str) -> None:
    if EvaluationSuite.objects.filter(name=name).exists():
        raise Conflict("There is a suite of this name already.", param="name")
