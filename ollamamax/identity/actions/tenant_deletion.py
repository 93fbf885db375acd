"""The deletion of a tenant is asked for and taken back: by the operator, or by one of its owners. `tenant_removal` does it when its time has come."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import chain_of, record
from ollamamax.audit.actions import lock as lock_chain
from ollamamax.audit.holds import require_no_hold
from ollamamax.identity.actions.tenant import locked_tenant, tell_on_commit
from ollamamax.identity.models import Tenant
from ollamamax.identity.queries.member import owns
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def ask_deletion(*, acting: Principal, tenant_id: uuid.UUID, slug: str) -> Tenant:
    """Suspend a tenant, and have everything of it removed after ``OLLAMAMAX_TENANT_GRACE_DAYS``. ``slug`` is the tenant's, typed again.

    One whose deletion was asked for already stays as it is, its date too. Raises `NotFound` for who is neither the operator nor an
    owner of it, `Forbidden` for a member who is no owner, `InvalidRequest` for another slug, and `Conflict` for the operator's own
    tenant and under legal hold.
    """
    by_operator = _require_over(acting, tenant_id)
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        if tenant.is_operator:
            raise Conflict("The operator's tenant runs this installation, and is not deleted.")
        if slug != tenant.slug:
            raise InvalidRequest("This is not the tenant's short name.", param="slug")
        if tenant.deletes_at is not None:
            return tenant
        lock_chain(chain_of(tenant.id))
        require_no_hold(chain_of(tenant.id))
        now = timezone.now()
        tenant.deletion_asked_at = now
        tenant.deletes_at = now + datetime.timedelta(days=settings.ENV["OLLAMAMAX_TENANT_GRACE_DAYS"])
        # Who was suspended before is so again when it is taken back.
        tenant.suspended_at = tenant.suspended_at or now
        tenant.save(update_fields=["deletion_asked_at", "deletes_at", "suspended_at"])
        record(
            acting=acting,
            action="tenant.ask_deletion",
            target_type="tenant",
            target_id=tenant.id,
            tenant=None,
            detail={
                "slug": tenant.slug,
                "deletes_at": tenant.deletes_at.isoformat(timespec="seconds"),
                "by": "operator" if by_operator else "owner",
            },
        )
        tell_on_commit(tenant)
    return tenant


def keep_tenant(*, acting: Principal, tenant_id: uuid.UUID) -> Tenant:
    """Take its deletion back, while its time has not come. It is as it was before: suspended, if it was.

    One that nobody wants deleted stays as it is. An owner takes back what an owner asked for, the operator either.
    Raises as `ask_deletion` does, and `Conflict` once the removal may have begun.
    """
    by_operator = _require_over(acting, tenant_id)
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        if tenant.deletes_at is None:
            return tenant
        if tenant.deletes_at <= timezone.now():
            raise Conflict("The tenant is being removed: that cannot be taken back any more.")
        if tenant.suspended_at == tenant.deletion_asked_at:
            tenant.suspended_at = None
        tenant.deletion_asked_at = tenant.deletes_at = None
        tenant.save(update_fields=["deletion_asked_at", "deletes_at", "suspended_at"])
        record(
            acting=acting,
            action="tenant.keep",
            target_type="tenant",
            target_id=tenant.id,
            tenant=None,
            detail={"slug": tenant.slug, "by": "operator" if by_operator else "owner"},
        )
        tell_on_commit(tenant)
    return tenant


def _require_over(acting: Principal, tenant_id: uuid.UUID) -> bool:
    """Whether it is the operator who acts; else it is an owner of the tenant.

    Raises `Forbidden` for another member of it, and for a key, which is no owner; and `NotFound` for everybody else.
    """
    if acting.kind == "system":
        return True
    if acting.may("tenant.manage") and acting.tenant is not None and is_operator(uuid.UUID(acting.tenant)):
        return True
    if acting.kind == "user" and owns(uuid.UUID(acting.id), tenant_id):
        return False
    if acting.tenant == tenant_id.hex:
        raise Forbidden("Only an owner of the tenant, or the operator of this installation, may do this.")
    raise NotFound("There is no such tenant.")


def begin_export(*, acting: Principal, tenant_id: uuid.UUID) -> Tenant:
    """Note in the tenant's own trail that its data are taken: by one of its owners at any time, by the operator while it is to be deleted.

    Raises as `ask_deletion` does, `Forbidden` for the operator of a tenant that stays, and `Conflict` once its removal may have begun.
    """
    by_operator = _require_over(acting, tenant_id)
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        if tenant.deletes_at is None and by_operator:
            raise Forbidden("The operator takes a tenant's data only while it is to be deleted.")
        if tenant.deletes_at is not None and tenant.deletes_at <= timezone.now():
            raise Conflict("The tenant is being removed.")
        record(
            acting=acting,
            action="tenant.export",
            target_type="tenant",
            target_id=tenant.id,
            tenant=tenant.id,
            detail={"slug": tenant.slug, "by": "operator" if by_operator else "owner"},
        )
    return tenant
