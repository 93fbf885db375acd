"""Team: some members of a tenant, who have its role and its grants besides their own; TeamMember: a membership in one."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import models

from ollamamax.identity.models.membership import Membership
from ollamamax.identity.models.role import Role
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Team(models.Model):
    """``group`` is the team as Django and django-guardian know it; its name says nothing, since groups have no tenant.

    ``role`` is what the members may do in the whole tenant by the team; ``None`` for nothing.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=100)
    role = models.ForeignKey(Role, on_delete=models.PROTECT, null=True, related_name="teams")
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="team")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[Team] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slug"],
                name="identity_team_slug_unique",
                violation_error_message="There is a team with this slug already.",
            ),
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="identity_team_slug_form",
                violation_error_message="A slug has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class TeamMember(models.Model):
    """Ends with the membership. ``user`` is that of the membership, and ``group`` that of the team: by these two Django knows it."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="in_teams")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[TeamMember] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "membership"],
                name="identity_team_member_unique",
                violation_error_message="This member is in the team already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} in {self.group_id}"
