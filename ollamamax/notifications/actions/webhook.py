"""Writes of webhooks, by people and keys of their tenant."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import SYSTEM, chain_of, record
from ollamamax.audit.queries import head_numbers
from ollamamax.identity.actions import attempt
from ollamamax.identity.bounds import WEBHOOKS, require_room
from ollamamax.identity.queries.key import person_behind
from ollamamax.identity.queries.member import email_of
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel import ids
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.notifications import events, signature
from ollamamax.notifications.actions.queue import queue_events
from ollamamax.notifications.models import AuditCursor, Webhook, WebhookDelivery
from ollamamax.notifications.payload import Payload, TestData
from ollamamax.notifications.queries.webhook import place_of
from ollamamax.notifications.rights import require_to_hear
from ollamamax.outbound.addresses import OutboundRefused, checked_url, origin_of

MANAGE = "webhook.manage"
MOST_EVENTS = 50
MOST_OVERLAP = datetime.timedelta(days=7)


def create_webhook(
    *, acting: Principal, url: str, events: Collection[str], description: str = ""
) -> tuple[Webhook, str]:
    """A webhook of the acting tenant, and its secret as its receiver is given it, which is not shown again.

    Raises `Forbidden` also for events that ``acting`` may not see, `InvalidRequest` for an address that may not be spoken to, and
    `Conflict` for one too many.
    """
    tenant = require_in_tenant(acting, MANAGE)
    wanted = _checked_events(acting, events)
    _check_url(url)
    secret, key = signature.new_secret(), ids.uuid7()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        require_room(WEBHOOKS, Webhook.objects.all())
        maker = person_behind(acting)
        webhook = Webhook.objects.create(
            id=key,
            tenant_id=tenant,
            url=url,
            description=description.strip(),
            events=wanted,
            secret=settings.SECRET_BOX.seal(secret, place_of(key)),
            since=timezone.now(),
            created_by_id=maker,
            created_by_name=email_of(maker),
        )
        _follow(tenant)
        record(
            acting=acting,
            action="webhook.create",
            target_type="webhook",
            target_id=webhook.id,
            tenant=tenant,
            detail={"url": origin_of(url), "events": wanted},
        )
    return webhook, signature.shown(secret)


def change_webhook(
    *,
    acting: Principal,
    webhook_id: uuid.UUID,
    url: str | None = None,
    events: Collection[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Webhook:
    """What is ``None`` stays. One that is switched off forgets what waits for it; switched on again it is told of what happens from then on.

    Raises as `create_webhook` does, also for what is told already where it is told elsewhere or again, and `NotFound`.
    """
    tenant = require_in_tenant(acting, MANAGE)
    changed: dict[str, Any] = {}
    if events is not None:
        changed["events"] = _checked_events(acting, events)
    if url is not None:
        _check_url(url)
        changed["url"] = url
    if description is not None:
        changed["description"] = description.strip()
    if enabled is not None:
        changed["enabled"] = enabled
    with tenant_scope(tenant), transaction.atomic(durable=True):
        webhook = _locked(webhook_id)
        changed = {name: value for name, value in changed.items() if getattr(webhook, name) != value}
        if not changed:
            return webhook
        if "url" in changed or changed.get("enabled"):
            # Of what somebody else chose whoever names the address is told, and of what still waits from before.
            waiting = WebhookDelivery.objects.filter(webhook=webhook, state=WebhookDelivery.State.WAITING)
            types = waiting.order_by().values_list("event__type", flat=True).distinct()
            require_to_hear(acting, [*webhook.events, *types])
        for name, value in changed.items():
            setattr(webhook, name, value)
        if changed.get("enabled"):
            webhook.since, webhook.disabled_reason = timezone.now(), ""
            _follow(tenant)
        elif "enabled" in changed:
            give_up_waiting(webhook)
        # Whatever it was that failed may be mended by this.
        webhook.failures, webhook.failing_since, webhook.wait_until = 0, None, None
        webhook.save()
        record(
            acting=acting,
            action="webhook.change",
            target_type="webhook",
            target_id=webhook.id,
            tenant=tenant,
            detail=changed | ({"url": origin_of(url)} if url is not None and "url" in changed else {}),
        )
    return webhook


def delete_webhook(*, acting: Principal, webhook_id: uuid.UUID) -> None:
    """With its deliveries and their log. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, MANAGE)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        webhook = _locked(webhook_id)
        url = webhook.url
        webhook.delete()
        record(
            acting=acting,
            action="webhook.delete",
            target_type="webhook",
            target_id=webhook_id,
            tenant=tenant,
            detail={"url": origin_of(url)},
        )


def rotate_webhook(*, acting: Principal, webhook_id: uuid.UUID, overlap: datetime.timedelta) -> tuple[Webhook, str]:
    """Another secret; the one before signs besides for ``overlap`` more. Raises `Forbidden`, `NotFound`, `InvalidRequest`."""
    tenant = require_in_tenant(acting, MANAGE)
    if not datetime.timedelta(0) <= overlap <= MOST_OVERLAP:
        raise InvalidRequest(f"An overlap has at most {MOST_OVERLAP.days} days.", param="overlap_seconds")
    secret = signature.new_secret()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        webhook = _locked(webhook_id)
        webhook.previous_secret = webhook.secret if overlap else None
        webhook.previous_until = timezone.now() + overlap if overlap else None
        webhook.secret = settings.SECRET_BOX.seal(secret, place_of(webhook.id))
        webhook.save(update_fields=["secret", "previous_secret", "previous_until"])
        record(
            acting=acting,
            action="webhook.rotate",
            target_type="webhook",
            target_id=webhook.id,
            tenant=tenant,
            detail={"url": origin_of(webhook.url), "previous_until": webhook.previous_until},
        )
    return webhook, signature.shown(secret)


def send_test_event(*, acting: Principal, webhook_id: uuid.UUID) -> WebhookDelivery:
    """An event for this webhook alone, whatever events it wants.

    Raises `Forbidden`, `NotFound`, `InvalidRequest` for one that is off, and `Overloaded` for a tenant that asks for too many.
    """
    tenant = require_in_tenant(acting, MANAGE)
    attempt.count("webhook", tenant.hex)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        webhook = _locked(webhook_id)
        if not webhook.enabled:
            raise InvalidRequest("This webhook is switched off.")
        payload = Payload(
            events.TEST, timezone.now(), tenant.hex, TestData(f"A test event, asked for by {acting.name}.")
        )
        [delivery] = queue_events(tenant, [payload], [webhook], asked=True)
        # Somebody waits for what becomes of it.
        Webhook.objects.filter(pk=webhook.pk).update(wait_until=None)
        record(
            acting=acting,
            action="webhook.send_test",
            target_type="webhook",
            target_id=webhook.id,
            tenant=tenant,
            detail={"url": origin_of(webhook.url)},
        )
    return delivery


def give_up_waiting(webhook: Webhook) -> None:
    """In a transaction: what waits for this webhook is not sent any more. Queries: 1."""
    waiting = WebhookDelivery.objects.filter(webhook=webhook, state=WebhookDelivery.State.WAITING)
    waiting.update(state=WebhookDelivery.State.FAILED, ended_at=timezone.now(), runner="", lease_until=None)


def _follow(tenant: uuid.UUID) -> None:
    """Have the tenant's chain followed from here on; of the operator's tenant that of the installation too."""
    chains = [chain_of(tenant), *([SYSTEM] if is_operator(tenant) else [])]
    heads = head_numbers(chains)
    rows = [AuditCursor(tenant_id=tenant, chain=chain, seq=heads.get(chain, 0)) for chain in chains]
    AuditCursor.objects.bulk_create(rows, ignore_conflicts=True)


def _locked(webhook_id: uuid.UUID) -> Webhook:
    found = Webhook.objects.select_for_update().filter(pk=webhook_id).first()
    if found is None:
        raise NotFound("There is no such webhook.")
    return found


def _check_url(url: str) -> None:
    try:
        checked_url(url, settings.OUTBOUND_RULES)
    except OutboundRefused as error:
        raise InvalidRequest(str(error), param="url") from error


def _checked_events(acting: Principal, wanted: Collection[str]) -> list[str]:
    """Sorted and each once. What a webhook is told of, whoever set it up may see themselves."""
    found = sorted(set(wanted))
    if not found or len(found) > MOST_EVENTS:
        raise InvalidRequest(f"A webhook names 1 to {MOST_EVENTS} events.", param="events")
    unknown = next((each for each in found if not events.is_pattern(each)), None)
    if unknown is not None:
        raise InvalidRequest(f"{unknown!r} is no event such as 'key.issue', 'key.*' or '*'.", param="events")
    require_to_hear(acting, found)
    return found
