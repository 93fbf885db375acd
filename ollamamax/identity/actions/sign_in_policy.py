"""What a tenant asks of its members when they log in: a second factor, from when on, and whether a passkey alone will do."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.models import Tenant
from ollamamax.identity.queries.member import members_of_tenant
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal

MOST_DAYS = 365


def change_sign_in_policy(
    *,
    acting: Principal,
    factor_required: bool | None = None,
    days_to_enrol: int = 0,
    takes_passkeys: bool | None = None,
) -> Tenant:
    """What is ``None`` stays. Members have ``days_to_enrol`` from now; who has no factor then acts in other tenants, and here once they have one.

    Raises `Forbidden` and `InvalidRequest`.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    if not 0 <= days_to_enrol <= MOST_DAYS:
        raise InvalidRequest(f"Between 0 and {MOST_DAYS} days.", param="days_to_enrol")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        before = (tenant.factor_required_at, tenant.takes_passkeys)
        if factor_required is not None:
            since = timezone.now() + datetime.timedelta(days=days_to_enrol)
            tenant.factor_required_at = since if factor_required else None
        if takes_passkeys is not None:
            tenant.takes_passkeys = takes_passkeys
        if (tenant.factor_required_at, tenant.takes_passkeys) == before:
            return tenant
        tenant.save(update_fields=["factor_required_at", "takes_passkeys"])
        record(
            acting=acting,
            action="tenant.change_sign_in",
            target_type="tenant",
            target_id=tenant.id,
            tenant=tenant.id,
            detail={
                "factor_required_at": {"before": before[0], "after": tenant.factor_required_at},
                "takes_passkeys": {"before": before[1], "after": tenant.takes_passkeys},
            },
        )
        sockets.recheck_on_commit(members_of_tenant())
    return tenant
