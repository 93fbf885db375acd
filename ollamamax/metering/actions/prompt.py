"""Prompts that tenants want kept: from Redis to Postgres, read by who may, and deleted when their days are over or somebody is erased."""

from __future__ import annotations

import datetime
import uuid
from typing import cast

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.bus.regions import Region
from ollamamax.contract.prompts import Prompt, SealedPrompt, decode_prompt, decode_sealed, place_of
from ollamamax.identity.queries.key import makers_of_keys
from ollamamax.identity.queries.tenant import get_tenant, tenants_of_ids
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.metering.models import KeptPrompt, UsageRecord
from ollamamax.sealed_to import open_with
from ollamamax.secret_box import CannotOpen

BATCH = 100
_AT_ONCE = 1000
_Entry = tuple[bytes, dict[bytes, bytes]]
_log = logs.get(__name__)


def write_prompts(region: Region | None = None, *, most: int = 2000) -> int:
    """Insert what waits in the stream, then delete it there. Returns how many it took.

    Killed in between, or run twice at once, it inserts the same request ids again, which Postgres ignores. With Postgres away it raises
    and they stay. What nobody can read, or whose tenant is gone or keeps none any more, is dropped, and that is logged. Queries: 3 for
    each 100.
    """
    taken = 0
    client = (region or regions.own()).client
    while taken < most:
        entries = cast("list[_Entry]", client.xrange(keys.PROMPTS, count=BATCH))
        if entries:
            _insert([each for each in (_decoded(fields) for _, fields in entries) if each is not None])
            client.xdel(keys.PROMPTS, *[entry for entry, _ in entries])
        taken += len(entries)
        if len(entries) < BATCH:
            break
    return taken


def _decoded(fields: dict[bytes, bytes]) -> tuple[SealedPrompt, KeptPrompt] | None:
    try:
        found = decode_sealed(fields[b"r"])
        return found, KeptPrompt(
            request=uuid.UUID(found.request),
            tenant_id=uuid.UUID(found.tenant),
            key=uuid.UUID(found.key),
            user=found.user[:256].replace("\0", ""),
            received_at=datetime.datetime.fromtimestamp(found.received_at, datetime.UTC),
            sealed=found.sealed,
        )
    except (KeyError, ValueError, OverflowError, OSError, msgspec.MsgspecError) as error:
        _log.error("prompt_lost", request="", why=f"the entry cannot be read: {error}")
        return None


def _insert(some: list[tuple[SealedPrompt, KeptPrompt]]) -> None:
    with every_tenant(), transaction.atomic(durable=True):
        wanted = {each.id for each in tenants_of_ids({row.tenant_id for _, row in some}) if each.prompt_days}
        for found, row in some:
            if row.tenant_id not in wanted:
                _log.warning("prompt_lost", request=found.request, why="its tenant keeps none any more")
        kept = [row for _, row in some if row.tenant_id in wanted]
        makers = makers_of_keys(row.key for row in kept)
        for row in kept:
            row.made_by = makers.get(row.key)
        KeptPrompt.objects.bulk_create(kept, ignore_conflicts=True)


def read_prompt(*, acting: Principal, request_id: uuid.UUID) -> tuple[KeptPrompt, Prompt]:
    """One prompt in the clear. That it was read is in the audit trail before it is shown.

    Raises `Forbidden`, `NotFound` with why it is not there, and `Conflict` where the tenant's key cannot be opened any more.
    """
    tenant_id = require_in_tenant(acting, "prompt.view")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        found = KeptPrompt.objects.filter(pk=request_id).first()
        tenant = get_tenant(tenant_id)
        if found is None or not _in_time(found.received_at, tenant.prompt_days):
            raise NotFound(_why_not(request_id, tenant.prompt_days))
        try:
            private = settings.SECRET_BOX.open(bytes(tenant.sealed_prompt_key or b""), tenant.prompt_place)
            plain = open_with(private, bytes(found.sealed), place_of(tenant_id.hex, request_id.hex))
            prompt = decode_prompt(plain)
        except (CannotOpen, msgspec.MsgspecError) as error:
            raise Conflict("The prompt was kept and cannot be opened any more.") from error
        record(
            acting=acting,
            action="prompt.read",
            target_type="request",
            target_id=request_id,
            tenant=tenant_id,
            detail={"key": found.key.hex, "received_at": found.received_at.isoformat(timespec="seconds")},
        )
    return found, prompt


def _in_time(received_at: datetime.datetime, days: int) -> bool:
    return received_at > timezone.now() - datetime.timedelta(days=days)


def _why_not(request_id: uuid.UUID, days: int) -> str:
    usage = UsageRecord.objects.filter(pk=request_id).values("prompt_kept", "received_at", "outcome").first()
    if usage is None:
        return "There is no such request, or it has not ended yet."
    if usage["outcome"] == "gateway_lost":
        return "Its gateway was lost before it could write the prompt."
    if not usage["prompt_kept"]:
        return "No prompt was kept: There was no policy when this request came, it was refused, or it had none."
    if not _in_time(usage["received_at"], days):
        return "The days for which prompts are kept are over."
    return "The prompt is not there: it is on its way still, was lost on it, or somebody was erased."


def sweep_prompts() -> int:
    """Delete those whose days are over, all of a tenant that keeps none any more; returns how many. Safe to run twice."""
    removed = 0
    with every_tenant():
        oldest = KeptPrompt.objects.order_by().values_list("tenant", flat=True).distinct()
        for tenant in tenants_of_ids(oldest):
            before = timezone.now() - datetime.timedelta(days=tenant.prompt_days)
            rows = KeptPrompt.objects.filter(tenant=tenant, received_at__lte=before)
            while some := list(rows.values_list("pk", flat=True)[:_AT_ONCE]):
                KeptPrompt.objects.filter(pk__in=some).delete()
                removed += len(some)
    return removed


def erase_prompts(tenant: uuid.UUID, user: str, email: str) -> int:
    """Delete what the keys of this user (hex) asked, and what was asked for an end user of this name; returns how many. In a transaction."""
    with tenant_scope(tenant):
        count = 0
        if user:
            count += KeptPrompt.objects.filter(made_by=uuid.UUID(user)).delete()[0]
        for name in filter(None, (user, str(uuid.UUID(user)) if user else "", email.strip())):
            count += KeptPrompt.objects.filter(user__iexact=name).delete()[0]
    return count
