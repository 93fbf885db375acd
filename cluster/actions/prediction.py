"""What follows from predictions: tenants choose by detector whether a node is set aside by itself, and a loop does that within the guard rails of recovery."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from django.db import transaction

from cluster.actions.incident import enter_step
from cluster.actions.recovery import begin_recovery
from cluster.health.sign import PREDICTED
from cluster.models import Incident, PredictionPolicy
from cluster.prediction.thresholds import DETECTORS
from cluster.queries.prediction import policies
from ollamamax.audit.actions import record
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal, system
from ollamamax.kernel.seldom import Seldom

_seldom = Seldom()
"""A node that a guard rail protects is tried again now and then, not at every look."""


def change_policies(*, acting: Principal, acts: Mapping[str, str]) -> dict[str, str]:
    """What is left out stays. Returns all. Raises `Forbidden`, and `InvalidRequest` for a detector or an act that there is not."""
    tenant = require_in_tenant(acting, "node.manage")
    for detector, act in acts.items():
        if detector not in DETECTORS:
            raise InvalidRequest(f"There is no detector {detector[:64]!r}.", param="acts")
        if act not in PredictionPolicy.Act.values:
            raise InvalidRequest("An act is one of propose, cordon, drain.", param="acts")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        before = policies()
        changed = {detector: act for detector, act in acts.items() if before[detector] != act}
        if not changed:
            return before
        for detector, act in changed.items():
            PredictionPolicy.objects.update_or_create(tenant_id=tenant, detector=detector, defaults={"act": act})
        record(
            acting=acting,
            action="prediction.change",
            target_type="tenant",
            target_id=tenant,
            tenant=tenant,
            detail={"before": {detector: before[detector] for detector in changed}, "after": changed},
        )
        return before | changed


def act_on_predictions(check: Callable[[], None] = lambda: None) -> int:
    """Set those nodes aside of which it is predicted that they fail, where the tenant has it so; how many were. Each incident is acted on once.

    ``check`` raises when another process does this by now. Queries: 1 while no tenant has it so, else 2.
    """
    with every_tenant():
        chosen = {
            (policy.tenant_id, PREDICTED + policy.detector): policy.act
            for policy in PredictionPolicy.objects.exclude(act=PredictionPolicy.Act.PROPOSE)
        }
        if not chosen:
            return 0
        kinds = {kind for _, kind in chosen}
        coming = list(
            Incident.objects.filter(closed_at=None, recovery__isnull=True, kind__in=kinds).values_list(
                "pk", "tenant", "kind"
            )
        )
    begun = 0
    for incident, tenant, kind in coming:
        act = chosen.get((tenant, kind))
        if act is None or not _seldom(incident.hex):
            continue
        try:
            begin_recovery(
                acting=system("prediction", tenant.hex),
                incident_id=incident,
                drains=act == PredictionPolicy.Act.DRAIN,
                check=check,
            )
            begun += 1
        except Conflict as refused:
            with tenant_scope(tenant), transaction.atomic(durable=True):
                check()
                _note(incident, str(refused))
        except NotFound:
            continue  # it was removed meanwhile
    return begun


def _note(incident_id: uuid.UUID, why: str) -> None:
    """The guard rail that forbids it stands in the timeline, once."""
    incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if incident is None or any(each["what"] == "not_set_aside" and each["text"] == why for each in incident.timeline):
        return
    enter_step(incident, "not_set_aside", why)
    incident.save(update_fields=["timeline"])
