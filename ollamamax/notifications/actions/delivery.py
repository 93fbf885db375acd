"""Deliveries: claimed by one process at a time, and what became of them written down; sent once more when somebody asks."""

from __future__ import annotations

import datetime
import random
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.actions import attempt
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal, system
from ollamamax.mail.actions import queue_mail
from ollamamax.notifications.actions.webhook import MANAGE, give_up_waiting
from ollamamax.notifications.attempts import DAY, Tried, after_failure, log_with
from ollamamax.notifications.models import Webhook, WebhookDelivery
from ollamamax.notifications.queries.webhook import secrets_of
from ollamamax.notifications.rights import require_to_hear
from ollamamax.outbound.addresses import origin_of
from ollamamax.secret_box import CannotOpen

LEASE = datetime.timedelta(seconds=60)
"""Longer than one attempt may take: a delivery whose process died comes back after it."""
AT_ONCE = 4
"""Deliveries of one webhook under way at a time; of one that fails there is one, which finds out whether it works again."""
TENANT_AT_ONCE = 8
"""Deliveries of one tenant that one runner has under way: receivers that take their time leave places for those of others."""
_log = logs.get(__name__)


@dataclass(frozen=True)
class Parcel:
    """What is sent, and where to. ``secrets`` is empty where the secret box cannot open them any more: then it is not sent."""

    delivery: uuid.UUID
    webhook: uuid.UUID
    event: str
    url: str
    body: bytes
    secrets: tuple[bytes, ...]


def redeliver(*, acting: Principal, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> WebhookDelivery:
    """Send it once more, under the same id, for another day. Raises `Forbidden`, `NotFound`, `Conflict` while it waits or the webhook is off, and
    `Overloaded` for one that asks for too many.
    """
    tenant = require_in_tenant(acting, MANAGE)
    attempt.count("webhook", tenant.hex)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        webhook = Webhook.objects.select_for_update().filter(pk=webhook_id).first()
        found = WebhookDelivery.objects.select_for_update().filter(pk=delivery_id, webhook=webhook_id).first()
        if webhook is None or found is None:
            raise NotFound("There is no such delivery.")
        require_to_hear(acting, [found.event.type])
        if not webhook.enabled:
            raise Conflict("This webhook is switched off.")
        if found.state == WebhookDelivery.State.WAITING:
            raise Conflict("This delivery is under way.")
        now = timezone.now()
        found.state, found.tries, found.ended_at = WebhookDelivery.State.WAITING, 0, None
        found.next_at, found.until = now, now + DAY
        found.save(update_fields=["state", "tries", "ended_at", "next_at", "until"])
        Webhook.objects.filter(pk=webhook.pk).update(wait_until=None)
        record(
            acting=acting,
            action="webhook.redeliver",
            target_type="webhook",
            target_id=webhook.id,
            tenant=tenant,
            detail={"event": found.event_id.hex},
        )
    return found


def claim_deliveries(runner: str, room: int) -> list[Parcel]:
    """Up to ``room`` deliveries that are due become this runner's for a while. Webhooks that were tried longest ago come first, each with a few.

    Queries: 1 where nothing is due, as it is nearly each second; else 2 more, and 3 for each webhook besides.
    """
    with every_tenant():
        now = timezone.now()
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        due = WebhookDelivery.objects.filter(free, state=WebhookDelivery.State.WAITING, next_at__lte=now)
        if not due.exists():
            return []
    with every_tenant(), transaction.atomic(durable=True):
        ready = Q(wait_until=None) | Q(wait_until__lte=now)
        under_way = WebhookDelivery.objects.filter(runner=runner, lease_until__gt=now).values_list("tenant")
        of_tenants = dict(under_way.annotate(Count("pk")))
        full = [tenant for tenant, count in of_tenants.items() if count >= TENANT_AT_ONCE]
        leased = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), lease_until__gt=now).order_by()
        count = Coalesce(Subquery(leased.values("webhook").annotate(n=Count("pk")).values("n")), 0)
        # One that has all it may have takes no place among those that are looked at.
        webhooks = list(
            Webhook.objects.exclude(tenant__in=full)
            .annotate(under_way=count)
            .filter(Q(under_way=0) | Q(under_way__lt=AT_ONCE, failures=0))
            .filter(ready, Exists(due.filter(webhook=OuterRef("pk"))), enabled=True)
            .order_by(F("tried_at").asc(nulls_first=True), "pk")
            .select_for_update(skip_locked=True, of=("self",))[: max(0, room)]
        )
        parcels: list[Parcel] = []
        for webhook in webhooks:
            most = (1 if webhook.failures else AT_ONCE) - webhook.under_way
            left = TENANT_AT_ONCE - of_tenants.get(webhook.tenant_id, 0)
            rows = due.filter(webhook=webhook).order_by("next_at").select_related("event")
            some = list(
                rows.select_for_update(skip_locked=True, of=("self",))[: max(0, min(most, left, room - len(parcels)))]
            )
            if not some:
                continue
            of_tenants[webhook.tenant_id] = of_tenants.get(webhook.tenant_id, 0) + len(some)
            keys = _secrets(webhook, now)
            parcels += [
                Parcel(each.pk, webhook.pk, each.event_id.hex, webhook.url, each.event.body.encode(), keys)
                for each in some
            ]
            WebhookDelivery.objects.filter(pk__in=[each.pk for each in some]).update(
                runner=runner, lease_until=now + LEASE
            )
            Webhook.objects.filter(pk=webhook.pk).update(tried_at=now)
    return parcels


def _secrets(webhook: Webhook, now: datetime.datetime) -> tuple[bytes, ...]:
    """None where they cannot be opened, which is this webhook's trouble and nobody else's."""
    try:
        return secrets_of(webhook, now)
    except CannotOpen:
        return ()


def finish_attempt(parcel: Parcel, runner: str, tried: Tried, *, chance: float | None = None) -> None:
    """Write down what became of an attempt; of one that somebody else has taken up meanwhile nothing. Queries: 4 to 7."""
    with every_tenant(), transaction.atomic(durable=True):
        webhook = Webhook.objects.select_for_update().filter(pk=parcel.webhook).first()
        mine = WebhookDelivery.objects.select_for_update().filter(pk=parcel.delivery, runner=runner)
        delivery = mine.filter(state=WebhookDelivery.State.WAITING).first()
        if webhook is None or delivery is None:
            return
        now = timezone.now()
        delivery.tries += 1
        delivery.attempts = log_with(delivery.attempts, tried)
        delivery.runner, delivery.lease_until = "", None
        if tried.arrived:
            delivery.state, delivery.ended_at = WebhookDelivery.State.DELIVERED, now
            webhook.failures, webhook.failing_since, webhook.wait_until = 0, None, None
            webhook.succeeded_at = now
        else:
            webhook.failures += 1
            webhook.failing_since = webhook.failing_since or now
            then = after_failure(
                tries=delivery.tries,
                until=delivery.until,
                failures=webhook.failures,
                now=now,
                chance=random.random() if chance is None else chance,  # noqa: S311 - spreads attempts, hides nothing
            )
            webhook.wait_until = then.webhook_at
            if then.at is None:
                delivery.state, delivery.ended_at = WebhookDelivery.State.FAILED, now
            else:
                delivery.next_at = then.at
        delivery.save()
        reason = _why_to_disable(webhook, tried, now)
        webhook.save(update_fields=["failures", "failing_since", "wait_until", "succeeded_at"])
        if reason:
            _disable(webhook, reason)


def give_up_late() -> int:
    """Deliveries that could not be made within their day. Queries: 1."""
    with every_tenant():
        now = timezone.now()
        late = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING, until__lt=now)
        return late.update(state=WebhookDelivery.State.FAILED, ended_at=now, runner="", lease_until=None)


def _why_to_disable(webhook: Webhook, tried: Tried, now: datetime.datetime) -> str:
    if not webhook.enabled:
        return ""
    if tried.gone:
        return "The receiver answered 410: it is there no more."
    days: int = settings.ENV["OLLAMAMAX_WEBHOOK_FAILING_DAYS"]
    if webhook.failing_since is not None and now - webhook.failing_since > datetime.timedelta(days=days):
        return f"No attempt has succeeded for {days} days."
    return ""


def _disable(webhook: Webhook, reason: str) -> None:
    """Switch it off, and tell: in the audit trail, and whoever made it by mail where there is mail."""
    webhook.enabled, webhook.disabled_reason = False, reason
    webhook.save(update_fields=["enabled", "disabled_reason"])
    give_up_waiting(webhook)
    record(
        acting=system("webhooks"),
        action="webhook.disable",
        target_type="webhook",
        target_id=webhook.id,
        tenant=webhook.tenant_id,
        detail={"url": origin_of(webhook.url), "reason": reason},
    )
    if webhook.created_by is not None and webhook.created_by.is_active:
        queue_mail(
            to=webhook.created_by.email,
            kind="webhook_disabled",
            language="en",
            values={
                "tenant": webhook.tenant.name,
                "host": urlsplit(webhook.url).hostname or "",
                "reason": reason,
            },
            link=f"{settings.PUBLIC_URL}/webhooks/{webhook.id}",
        )
    _log.warning("webhook_disabled", webhook=webhook.id.hex, reason=reason)
