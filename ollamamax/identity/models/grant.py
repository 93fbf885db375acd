"""MemberGrant and TeamGrant: a permission on a single object, that a member or a team has; django-guardian's rows, with a tenant."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from guardian.managers import GroupObjectPermissionManager, UserObjectPermissionManager
from guardian.models import GroupObjectPermissionAbstract, UserObjectPermissionAbstract

from ollamamax.identity.models.membership import Membership
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import current_tenant, tenant_manager
from ollamamax.kernel import ids


class MemberGrant(UserObjectPermissionAbstract):
    """Ends with the membership. ``permission`` is Django's row whose codename is ours; ids of objects are never used again."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="grants")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = tenant_manager(UserObjectPermissionManager)

    class Meta:
        indexes = [
            models.Index(fields=["content_type", "object_pk"], name="identity_member_grant_object"),
            models.Index(fields=["membership"], name="identity_member_grant_member"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "permission", "object_pk"],
                name="identity_member_grant_unique",
                violation_error_message="This member has the permission on the object already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.permission.codename} on {self.target}"

    @property
    def target(self) -> str:
        """As `ollamamax.identity.roles.reference` names it."""
        return reference(self.content_type.model, self.object_pk)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Whoever grants by django-guardian's own functions does it in the tenant in scope, to one of its members."""
        if self._state.adding:
            self.tenant_id = current_tenant()
            self.membership = Membership.objects.get(user=self.user)
        super().save(*args, **kwargs)


class TeamGrant(GroupObjectPermissionAbstract):
    """Ends with the team, which is the group."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = tenant_manager(GroupObjectPermissionManager)

    class Meta:
        indexes = [models.Index(fields=["content_type", "object_pk"], name="identity_team_grant_object")]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "permission", "object_pk"],
                name="identity_team_grant_unique",
                violation_error_message="This team has the permission on the object already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.permission.codename} on {self.target}"

    @property
    def target(self) -> str:
        return reference(self.content_type.model, self.object_pk)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.tenant_id = current_tenant()
        super().save(*args, **kwargs)
