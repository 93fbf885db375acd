"""What promotion requires: a suite, and the least score in it."""

from __future__ import annotations

import uuid

from django.db import transaction

from models_registry.actions.lock import lock_names
from models_registry.models import Model
from ollamamax.audit.actions import record
from ollamamax.evaluations.actions.suite import OF_POLICY
from ollamamax.evaluations.models import EvaluationRequirement
from ollamamax.evaluations.queries.requirement import get_requirement
from ollamamax.evaluations.queries.suite import lock_suite
from ollamamax.identity.bounds import EVALUATION_REQUIREMENTS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal


def require_suite(
    *, acting: Principal, suite_id: uuid.UUID, least_score: float, model: str | None = None
) -> EvaluationRequirement:
    """From now on a version of ``model``, or of all models, becomes production only with this score. What is in production stays there.

    Raises `NotFound` for a suite or model that is not there, and `Conflict` where it is required already.
    """
    tenant = require_in_tenant(acting, OF_POLICY)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)  # nothing is promoted meanwhile
        suite = lock_suite(suite_id)
        require_room(EVALUATION_REQUIREMENTS, EvaluationRequirement.objects.all())
        of = None if model is None else Model.objects.filter(name=model).first()
        if model is not None and of is None:
            raise NotFound(f"There is no model '{model}'.", param="model")
        if EvaluationRequirement.objects.filter(suite=suite, model=of).exists():
            raise Conflict("This suite is required there already: delete that requirement first.", param="suite")
        made = EvaluationRequirement.objects.create(
            tenant_id=tenant, suite=suite, model=of, least_score=least_score, by_name=acting.name
        )
        record(
            acting=acting,
            action="suite.require",
            target_type="evaluation_suite",
            target_id=suite.id,
            tenant=tenant,
            detail={"suite": suite.name, "model": model or "", "least_score": least_score},
        )
    return made


def end_requirement(*, acting: Principal, requirement_id: uuid.UUID) -> None:
    """Raises `NotFound`."""
    tenant = require_in_tenant(acting, OF_POLICY)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        requirement = get_requirement(requirement_id)
        record(
            acting=acting,
            action="suite.require_no_more",
            target_type="evaluation_suite",
            target_id=requirement.suite_id,
            tenant=tenant,
            detail={
                "suite": requirement.suite.name,
                "model": requirement.model.name if requirement.model else "",
                "least_score": requirement.least_score,
            },
        )
        requirement.delete()
