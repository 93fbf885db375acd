"""Makes events of health: a finding that was not there before, that became better or worse, or that is over."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterable, Mapping

import msgspec
from django.db import transaction
from django.utils import timezone

from ollamamax.contract.health import FRESH_SECONDS, Finding, FleetHealth
from ollamamax.identity.queries.tenant import find_operator
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.notifications.actions.queue import queue_events
from ollamamax.notifications.events import CHANGED, CLOSED, OPENED, wants_health
from ollamamax.notifications.models import ToldFinding, Webhook
from ollamamax.notifications.payload import HealthData, HealthSubject, Payload, SubjectKind

Named = tuple[str, str]
"""Subject and code: what makes a finding the same at the next look."""


def watch_findings(
    reports: Mapping[str, FleetHealth], region: str = "", check: Callable[[], None] = lambda: None
) -> int:
    """Compare what is judged now with what was told, for every tenant with a webhook that wants to know; how many events that made.

    ``reports`` by tenant (hex), the empty one being the control plane itself, which is the operator's. A report that is not fresh
    says nothing. Queries: 2 or 3, and 3 to 6 for each such tenant.
    """
    with every_tenant():
        listening: dict[uuid.UUID, list[Webhook]] = {}
        for webhook in Webhook.objects.filter(enabled=True):
            if wants_health(webhook.events):
                listening.setdefault(webhook.tenant_id, []).append(webhook)
        # Nobody was told of these any more: who listens next hears of all that is wrong then.
        ToldFinding.objects.exclude(tenant__in=listening).delete()
        if not listening:
            return 0
        operator = find_operator()
    made = 0
    for tenant, webhooks in listening.items():
        own = [reports.get(tenant.hex)]
        if operator is not None and operator.pk == tenant:
            own.append(reports.get(""))
        known = [each for each in own if each is not None and _is_fresh(each)]
        if len(known) == len([each for each in own if each is not None]) and known:
            made += _tell(tenant, region, found_in(known, region), webhooks, check)
    return made


def found_in(reports: Iterable[FleetHealth], region: str) -> dict[Named, HealthData]:
    """What is wrong, by subject and code. Notices are left out: nothing is wrong where there is one."""
    found: dict[Named, HealthData] = {}

    def add(kind: SubjectKind, id_: str, name: str, findings: Iterable[Finding]) -> None:
        for each in findings:
            if each.severity != "notice":
                since = datetime.datetime.fromtimestamp(each.since, datetime.UTC)
                subject = HealthSubject(kind, id_, name, region)
                found[f"{kind}:{id_ or name}", each.code] = HealthData(
                    subject, each.code, each.severity, each.text, since, each.values
                )

    for report in reports:
        add("fleet", "", "", report.findings)
        for id_, node in report.nodes.items():
            add("node", id_, node.name, node.findings)
        for name, model in report.models.items():
            add("model", model.id, name, model.findings)
    return found


def differences(
    told: Mapping[Named, HealthData], found: Mapping[Named, HealthData]
) -> list[tuple[str, Named, HealthData]]:
    """The events that lead from one to the other, each with what it is about. Pure."""
    opened = [(OPENED, name, data) for name, data in found.items() if name not in told]
    changed = [
        (CHANGED, name, data) for name, data in found.items() if name in told and told[name].severity != data.severity
    ]
    closed = [(CLOSED, name, data) for name, data in told.items() if name not in found]
    return [*opened, *changed, *closed]


def _tell(
    tenant: uuid.UUID,
    region: str,
    found: Mapping[Named, HealthData],
    webhooks: Iterable[Webhook],
    check: Callable[[], None],
) -> int:
    with tenant_scope(tenant), transaction.atomic(durable=True):
        check()
        rows = {(row.subject, row.code): row for row in ToldFinding.objects.filter(region=region)}
        told = {name: msgspec.convert(row.data, HealthData) for name, row in rows.items()}
        changes = differences(told, found)
        if not changes:
            return 0
        now = timezone.now()
        queue_events(tenant, (Payload(type_, now, tenant.hex, data) for type_, _, data in changes), webhooks)
        gone = [rows[name].pk for type_, name, _ in changes if type_ == CLOSED]
        ToldFinding.objects.filter(pk__in=gone).delete()
        ToldFinding.objects.bulk_create(
            (
                ToldFinding(
                    tenant_id=tenant, region=region, subject=name[0], code=name[1], data=msgspec.to_builtins(data)
                )
                for type_, name, data in changes
                if type_ != CLOSED
            ),
            update_conflicts=True,
            unique_fields=["tenant", "region", "subject", "code"],
            update_fields=["data"],
        )
    return len(changes)


def _is_fresh(report: FleetHealth) -> bool:
    return abs(timezone.now().timestamp() - report.at) <= FRESH_SECONDS
