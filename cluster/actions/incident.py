"""Incidents are opened, changed and closed by what is found; people acknowledge and silence them. Each step stands in the timeline and in the audit trail."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cluster.incidents.outcome import FAULTS
from cluster.incidents.plan import REOPENED_SECONDS, IncidentSteps, KeptIncident, entered, is_told_worse, plan
from cluster.incidents.trouble import FoundTrouble, problems_of
from cluster.models import Incident, Node
from cluster.queries.incident import hits_of
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.contract.health import FRESH_SECONDS, FleetHealth, Severity
from ollamamax.identity.queries.tenant import find_operator
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal, system
from ollamamax.kernel.seldom import Seldom

MOST_SILENCE_SECONDS = 30 * 86_400
_HOUR = datetime.timedelta(hours=1)
_AWAY = ("unreachable", "lost")
_log = logs.get(__name__)
_seldom = Seldom()


def follow_incidents(
    reports: Mapping[str, FleetHealth], region: str = "", check: Callable[[], None] = lambda: None
) -> int:
    """Compare what is wrong now with the incidents that are kept, for every tenant; how many were opened, changed or closed.

    ``reports`` by tenant (hex), the empty one being the control plane, which is the operator's. A report that is not fresh says nothing, and nothing
    changes. ``check`` raises when another process does this by now. Queries: 4, and for each tenant in which something changed 1 and some for each.
    """
    with every_tenant():
        operator = find_operator()
        recently = timezone.now() - datetime.timedelta(seconds=REOPENED_SECONDS)
        kept: dict[str, list[Incident]] = {}
        rows = Incident.objects.filter(Q(closed_at=None) | Q(closed_at__gt=recently), region=region)
        for row in rows.defer("timeline", "evidence").order_by("opened_at"):
            kept.setdefault(row.tenant_id.hex, []).append(row)
        absent: dict[str, dict[str, tuple[str, str]]] = {}
        for node, tenant, name, state in Node.objects.filter(lifecycle__in=_AWAY, schedulable=True).values_list(
            "pk", "tenant", "name", "lifecycle"
        ):
            absent.setdefault(tenant.hex, {})[node.hex] = name, state
    own = None if operator is None else operator.pk.hex
    changed = 0
    for whose, report in reports.items():
        if len(whose) != 32 or not _is_fresh(report):
            continue
        of_system = reports.get("") if whose == own else None
        if of_system is not None and not _is_fresh(of_system):
            continue
        problems = problems_of(report, of_system, absent.get(whose, {}), region)
        changed += _bring_in_line(uuid.UUID(whose), problems, kept.get(whose, []), check)
    return changed


def acknowledge_incident(*, acting: Principal, incident_id: uuid.UUID) -> Incident:
    """Somebody looks after it. Done twice it is done once. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        incident = _locked(incident_id)
        if incident.acknowledged_at is not None:
            return incident
        incident.acknowledged_at, incident.acknowledged_by = timezone.now(), acting.name[:254]
        enter_step(incident, "acknowledged", "", acting.name)
        incident.save()
        record(
            acting=acting,
            action="incident.acknowledge",
            target_type="incident",
            target_id=incident.pk,
            tenant=tenant,
            detail={"kind": incident.kind, "name": incident.subject_name},
        )
    return incident


def silence_incident(*, acting: Principal, incident_id: uuid.UUID, seconds: float) -> Incident:
    """Until then nobody is told that it became worse, closed, or came back; 0 ends that. Raises `Forbidden`, `NotFound` and `InvalidRequest`."""
    if not 0 <= seconds <= MOST_SILENCE_SECONDS:
        raise InvalidRequest("An incident is silenced for 30 days at most.", param="seconds")
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        incident = _locked(incident_id)
        until = timezone.now() + datetime.timedelta(seconds=seconds)
        incident.silenced_until = until if seconds else None
        enter_step(incident, "silenced" if seconds else "told_again", until.isoformat() if seconds else "", acting.name)
        incident.save()
        record(
            acting=acting,
            action="incident.silence",
            target_type="incident",
            target_id=incident.pk,
            tenant=tenant,
            detail={"kind": incident.kind, "name": incident.subject_name, "seconds": seconds},
        )
    return incident


def _bring_in_line(
    tenant: uuid.UUID, problems: Mapping[str, FoundTrouble], rows: list[Incident], check: Callable[[], None]
) -> int:
    now = timezone.now()
    held = {row.key: _held(row) for row in rows}
    newest = {row.key: row.pk for row in rows}
    if not problems and not any(each.closed_at is None for each in held.values()):
        return 0
    with tenant_scope(tenant):
        lately: Counter[str] = Counter()
        if problems.keys() - held.keys():
            lately.update(
                f"{about}:{id_ or name}"
                for about, id_, name in Incident.objects.filter(opened_at__gt=now - _HOUR).values_list(
                    "about", "subject_id", "subject_name"
                )
            )
        made = plan(problems, held, lately, now.timestamp())
        for key in made.refused:
            if _seldom(key):
                _log.warning("incident_refused", kind=problems[key].kind, subject=problems[key].subject)
        if not made:
            return 0
        with transaction.atomic(durable=True):
            check()
            _apply(tenant, made, problems, newest)
    return len(made.opened) + len(made.reopened) + len(made.changed) + len(made.closed)


def _apply(
    tenant: uuid.UUID, made: IncidentSteps, problems: Mapping[str, FoundTrouble], newest: Mapping[str, uuid.UUID]
) -> None:
    for key in made.opened:
        problem = problems[key]
        incident = Incident(
            tenant_id=tenant,
            region=problem.region,
            key=key,
            kind=problem.kind,
            about=problem.about,
            subject_id=problem.id,
            subject_name=problem.name,
        )
        _take(incident, problem)
        enter_step(incident, "opened", problem.text)
        incident.save(force_insert=True)
        _tell(incident, "incident.open")
    chosen = [newest[key] for key in (*made.reopened, *made.changed, *made.closed)]
    for incident in Incident.objects.select_for_update().filter(pk__in=chosen).order_by("pk"):
        key = incident.key
        if key in made.closed:
            incident.closed_at = incident.changed_at = timezone.now()
            hits = hits_of(incident)
            incident.requests_hit, incident.tenants_hit = hits if hits is not None else (None, None)
            enter_step(incident, "closed", _outcome(incident))
            _tell(incident, "incident.close")
        else:
            _take(incident, problems[key])
            if key in made.reopened:
                incident.closed_at, incident.reopened, incident.came_true = None, incident.reopened + 1, None
                enter_step(incident, "reopened", incident.text)
                _tell(incident, "incident.reopen")
            elif key in made.worse:
                enter_step(incident, "worse", incident.text)
                if is_told_worse(incident.timeline, timezone.now()):
                    _tell(incident, "incident.escalate")
            elif key in made.better:
                enter_step(incident, "better", incident.text)
        incident.save()


def _outcome(incident: Incident) -> str:
    """Note of a prediction whether it came true, and say so; nothing of other incidents. Queries: 1 of a prediction."""
    faults = FAULTS.get(incident.kind)
    if faults is None:
        return ""
    incident.came_true = Incident.objects.filter(
        about=incident.about, subject_id=incident.subject_id, kind__in=faults, opened_at__gte=incident.opened_at
    ).exists()
    return "It came true." if incident.came_true else "It did not come true."


def _take(incident: Incident, problem: FoundTrouble) -> None:
    incident.severity, incident.text, incident.changed_at = problem.severity, problem.text, timezone.now()
    incident.subject_name = problem.name
    incident.evidence = [dataclasses.asdict(each) for each in problem.evidence]


def enter_step(incident: Incident, what: str, text: str, by: str = "") -> None:
    """Write one step into the timeline; the row is saved by whoever has it locked."""
    entry = {"at": timezone.now().isoformat(), "what": what, "text": text, "by": by[:254]}
    incident.timeline = entered(incident.timeline, entry)


def _tell(incident: Incident, action: str) -> None:
    """The audit trail is what webhooks are told of."""
    if incident.silenced_until is not None and incident.silenced_until > timezone.now():
        return
    detail: dict[str, object] = {
        "kind": incident.kind,
        "severity": incident.severity,
        "about": incident.about,
        "id": incident.subject_id,
        "name": incident.subject_name,
        "text": incident.text,
    }
    if incident.closed_at is not None:
        detail["seconds"] = round((incident.closed_at - incident.opened_at).total_seconds())
        detail["requests_hit"], detail["tenants_hit"] = incident.requests_hit, incident.tenants_hit
        if incident.came_true is not None:
            detail["came_true"] = incident.came_true
    record(
        acting=system("incidents", incident.tenant_id.hex),
        action=action,
        target_type="incident",
        target_id=incident.pk,
        tenant=incident.tenant_id,
        detail=detail,
    )


def _held(row: Incident) -> KeptIncident:
    closed = None if row.closed_at is None else row.closed_at.timestamp()
    return KeptIncident(
        row.key, cast("Severity", row.severity), row.text, row.changed_at.timestamp(), closed, row.reopened
    )


def _locked(incident_id: uuid.UUID) -> Incident:
    incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if incident is None:
        raise NotFound("There is no such incident.")
    return incident


def _is_fresh(report: FleetHealth) -> bool:
    return abs(timezone.now().timestamp() - report.at) <= FRESH_SECONDS
