"""Promotions that wait for others: approved, which promotes when enough did, or rejected; and how many a tenant asks for."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from models_registry.actions.lock import lock_names
from models_registry.actions.release import enter_stage
from models_registry.lifecycle import AskedPromotion, ReleaseStage, approve, check_step
from models_registry.models import Promotion, PromotionPolicy
from models_registry.promotion_needs import require_needs
from models_registry.queries.release import approvals_needed, get_promotion
from ollamamax.audit.actions import record
from ollamamax.identity.models import User
from ollamamax.identity.queries.key import person_behind
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.queries.service_account import is_program
from ollamamax.identity.rights import require, require_in_tenant, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden
from ollamamax.kernel.principal import Principal


def approve_promotion(*, acting: Principal, promotion_id: uuid.UUID) -> Promotion:
    """Approve what another person asked for; the last approval that is needed promotes. Repeated by the same person, nothing happens.

    Raises `NotFound`, `Forbidden` for one's own and for who may not promote, and `Conflict` for one that has ended or cannot be any more.
    """
    tenant = require_somewhere(acting, "model.promote")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        promotion = _open(acting, promotion_id, tenant)
        # Whoever may not promote any more agrees to nothing; as long as it waits that can change.
        promotion.approvals = [each for each in promotion.approvals if _may_promote(each["person"], promotion, tenant)]
        known = {each["person"] for each in promotion.approvals}
        asked = AskedPromotion(promotion.person, promotion.needed, tuple(known))
        behind = person_behind(acting)
        if behind is not None and is_program(behind):
            raise Forbidden("Only people approve: this key is a service account's.")
        person = str(behind or "")
        after = approve(asked, person)
        if person not in known:
            promotion.approvals = [
                *promotion.approvals,
                {"person": person, "name": acting.name, "at": timezone.now().isoformat()},
            ]
        release = promotion.release
        if not after.missing:
            check_step(ReleaseStage(release.stage), ReleaseStage.PRODUCTION, ())
            require_needs(release)  # it may have been evaluated again, or more may be asked for, since
            promotion.state, promotion.ended_at = Promotion.State.DONE, timezone.now()
            enter_stage(release, ReleaseStage.PRODUCTION)
        promotion.save(update_fields=["approvals", "state", "ended_at"])
        record(
            acting=acting,
            action="version.approve",
            target_type="version",
            target_id=release.version.digest,
            tenant=tenant,
            detail={"model": release.model.name, "asked_by": promotion.by_name, "missing": after.missing},
        )
    return promotion


def reject_promotion(*, acting: Principal, promotion_id: uuid.UUID, reason: str = "") -> Promotion:
    """End what somebody asked for; who asked may do so too. Raises `NotFound`, `Forbidden`, and `Conflict` for one that has ended."""
    tenant = require_somewhere(acting, "model.promote")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        promotion = _open(acting, promotion_id, tenant)
        promotion.state, promotion.ended_at = Promotion.State.REJECTED, timezone.now()
        promotion.save(update_fields=["state", "ended_at"])
        record(
            acting=acting,
            action="version.reject",
            target_type="version",
            target_id=promotion.release.version.digest,
            tenant=tenant,
            detail={"model": promotion.release.model.name, "asked_by": promotion.by_name, "reason": reason},
        )
    return promotion


def set_approvals(*, acting: Principal, approvals: int) -> None:
    """How many others must approve from now on; what waits already needs as many as it did. Repeated, nothing happens."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        before = approvals_needed()
        if before == approvals:
            return
        PromotionPolicy.objects.update_or_create(
            tenant_id=tenant, defaults={"approvals": approvals, "changed_at": timezone.now()}
        )
        record(
            acting=acting,
            action="tenant.set_approvals",
            target_type="tenant",
            target_id=tenant,
            tenant=tenant,
            detail={"before": before, "after": approvals},
        )


def _may_promote(person: str, promotion: Promotion, tenant: uuid.UUID) -> bool:
    """Queries: 2, and more for who was granted something on pools."""
    user = User.objects.filter(pk=person, is_active=True).first()
    place = next((each for each in tenants_of(user) if each.id == tenant), None) if user is not None else None
    if user is None or place is None:
        return False
    return principal_of(user, place).may("model.promote", reference("model", promotion.release.model_id))


def _open(acting: Principal, promotion_id: uuid.UUID, tenant: uuid.UUID) -> Promotion:
    lock_names(tenant)
    promotion = get_promotion(acting, promotion_id)
    require(acting, "model.promote", reference("model", promotion.release.model_id))
    if promotion.state != Promotion.State.OPEN:
        raise Conflict("It has ended already.")
    return promotion
