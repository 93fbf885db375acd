"""Runs of the playbook: people begin and stop them, a loop carries them on, and each step stands in the incident's timeline and in the audit trail."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import cast

import msgspec
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cluster.actions.incident import enter_step
from cluster.actions.node import NodeChange, change_locked
from cluster.models import Incident, Node
from cluster.queries.incident import held_run
from cluster.queries.node import states
from cluster.recovery.playbook import (
    DRAIN_SECONDS,
    BeginFacts,
    OtherNode,
    RecoveryRun,
    RunFacts,
    advance,
    refusal,
    stopped,
)
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.contract import NodeState
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal, system

_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)
_USABLE = frozenset({"present", "ready", "loading", "loaded"})
_log = logs.get(__name__)


def begin_recovery(
    *,
    acting: Principal,
    incident_id: uuid.UUID,
    drains: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Incident:
    """Set the incident's node aside until it is well; what runs there has two minutes, unless ``drains`` is false. Raises `Forbidden`, `NotFound`, and `Conflict` with the guard rail that forbids it. Queries: 5."""
    tenant = require_in_tenant(acting, "node.manage")
    now = timezone.now()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        check()
        # All runs of the tenant begin one after the other: the guard rails count them.
        nodes = list(Node.objects.select_for_update().order_by("pk"))
        incident = _locked(incident_id)
        facts = _facts(incident, nodes, now)
        if (why := refusal(facts)) != "":
            raise Conflict(why)
        run = RecoveryRun("quarantine", "running", now.timestamp(), now.timestamp(), acting.name[:254], drains=drains)
        _write(incident, run, "recovery_began", acting.name)
        record(
            acting=acting,
            action="incident.recover",
            target_type="incident",
            target_id=incident.pk,
            tenant=tenant,
            detail={"kind": incident.kind, "name": incident.subject_name, "node": incident.subject_id},
        )
    return incident


def stop_recovery(*, acting: Principal, incident_id: uuid.UUID) -> Incident:
    """Stop the run, and have the node take requests again where the run had set it aside. Of one that does not run nothing happens. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        node, incident = _locked_both(incident_id)
        run = held_run(incident)
        if run is None or run.state != "running":
            return incident
        _write(incident, stopped(run, acting.name[:200], timezone.now().timestamp()), "recovery_stopped", acting.name)
        record(
            acting=acting,
            action="incident.stop_recovery",
            target_type="incident",
            target_id=incident.pk,
            tenant=tenant,
            detail={"kind": incident.kind, "name": incident.subject_name, "node": incident.subject_id},
        )
        _tell(tenant, node, serving=True, drains=run.drains)
    return incident


def carry_on(check: Callable[[], None] = lambda: None) -> int:
    """Carry each run on by a step where one is due; how many were. ``check`` raises when another process does this by now. Queries: 1 while none runs."""
    with every_tenant():
        # What closed long ago is past: an index leads to the rest.
        recent = Q(closed_at=None) | Q(closed_at__gt=timezone.now() - _DAY)
        running = list(Incident.objects.filter(recent, recovery__state="running").values_list("pk", "tenant"))
    return sum(_carry_on(tenant, incident, check) for incident, tenant in running)


def _carry_on(tenant: uuid.UUID, incident_id: uuid.UUID, check: Callable[[], None]) -> bool:
    """The node is told in the transaction that looks whether the run is still at this step: what was read before a pause of this process counts no more."""
    with tenant_scope(tenant), transaction.atomic(durable=True):
        check()
        node, incident = _locked_both(incident_id)
        run = held_run(incident)
        if run is None or run.state != "running":
            return False
        if run.step in ("quarantine", "restore"):
            _tell(tenant, node, serving=run.step == "restore", drains=run.drains)
        now = timezone.now()
        after = advance(run, _present(node, incident, now), now.timestamp())
        if after == run:
            return False
        what = "recovery_step" if after.state == "running" else f"recovery_{after.state}"
        _write(incident, after, what)
        record(
            acting=system("recovery", tenant.hex),
            action="incident.recovery",
            target_type="incident",
            target_id=incident.pk,
            tenant=tenant,
            detail={
                "name": incident.subject_name,
                "step": after.step,
                "state": after.state,
                "why": after.why,
                "seconds": None if after.seconds is None else round(after.seconds),
            },
        )
    _log.info("recovery", incident=incident_id.hex, step=after.step, state=after.state)
    return True


def _tell(tenant: uuid.UUID, node: Node | None, *, serving: bool, drains: bool) -> None:
    """Set the node aside, or have it take requests again. One that was taken out needs neither."""
    if node is None:
        return
    change: NodeChange = {"schedulable": serving}
    if drains and not serving:
        change["drain_seconds"] = DRAIN_SECONDS
    if node.schedulable is not serving and (changed := change_locked(node, change)) is not None:
        record(
            acting=system("recovery", tenant.hex),
            action=changed.action,
            target_type="node",
            target_id=node.pk,
            tenant=tenant,
            detail=changed.detail,
        )


def _facts(incident: Incident, nodes: list[Node], now: datetime.datetime) -> BeginFacts:
    told = states(nodes)
    own = next((node for node in nodes if node.pk.hex == incident.subject_id), None)
    state = told.get(incident.subject_id)
    lately = [
        (row.subject_id, run)
        for row in Incident.objects.filter(
            Q(changed_at__gt=now - _DAY) | Q(recovery__state="running"), recovery__isnull=False
        )
        if (run := held_run(row)) is not None
    ]
    # A node that a run is about to set aside still says that it takes requests, and what runs there goes to the others too.
    aside = {subject for subject, run in lately if run.state == "running"}
    others = [
        OtherNode(max(0, each.capacity - each.running - each.waiting), _versions(each))
        for node in nodes
        if node is not own
        and node.pk.hex not in aside
        and node.lifecycle == "ready"
        and (own is None or set(node.taints) <= set(own.taints))
        and (each := told.get(node.pk.hex)) is not None
    ]
    moving = [each for subject in aside | {incident.subject_id} if (each := told.get(subject)) is not None]
    return BeginFacts(
        kind=incident.kind,
        about=incident.about,
        is_open=incident.closed_at is None,
        schedulable=own is not None and own.schedulable,
        busy=incident.subject_id in aside,
        lately=sum(now.timestamp() - run.began_at < _HOUR.total_seconds() for _, run in lately),
        running=sum(each.running + each.waiting for each in moving),
        versions=frozenset() if state is None else _versions(state),
        others=others,
        names={} if state is None else {model.version: model.name for model in state.models},
    )


def _present(node: Node | None, incident: Incident, now: datetime.datetime) -> RunFacts:
    drained = not any(
        cast("int", region.client.scard(keys.node_slots(incident.subject_id))) for region in regions.every()
    )
    over = None if incident.closed_at is None else (now - incident.closed_at).total_seconds()
    return RunFacts(None if node is None else node.schedulable, drained, over)


def _versions(state: NodeState) -> frozenset[str]:
    return frozenset(model.version for model in state.models if model.state in _USABLE)


def _write(incident: Incident, run: RecoveryRun, what: str, by: str = "") -> None:
    incident.recovery = msgspec.to_builtins(run)
    incident.changed_at = timezone.now()
    enter_step(incident, what, run.why or run.step, by)
    incident.save(update_fields=["recovery", "changed_at", "timeline"])


def _locked_both(incident_id: uuid.UUID) -> tuple[Node | None, Incident]:
    """The incident and its node, which comes first as where a run begins: or each could wait for the other. Raises `NotFound`."""
    subject = Incident.objects.filter(pk=incident_id).values_list("subject_id", flat=True).first()
    node = Node.objects.select_for_update().filter(pk=uuid.UUID(subject)).first() if subject else None
    return node, _locked(incident_id)


def _locked(incident_id: uuid.UUID) -> Incident:
    incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if incident is None:
        raise NotFound("There is no such incident.")
    return incident
