"""DirectoryGroup: a group of the directory's, whose name role rules see; GroupMember: a person of the directory in one."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.provisioning.models.user import DirectoryUser
from ollamamax.sso.models import IdentityProvider


class DirectoryGroup(models.Model):
    """``version`` counts its changes, those of its members too."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="directory_groups")
    display_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, default="", blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[DirectoryGroup] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["provider", "display_name"], name="provisioning_group_name")]

    def __str__(self) -> str:
        return self.display_name


class GroupMember(models.Model):
    """``display`` is what the directory calls the person in this group; empty where it says nothing."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(DirectoryGroup, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(DirectoryUser, on_delete=models.CASCADE, related_name="in_groups")
    display = models.CharField(max_length=255, default="", blank=True)

    objects: models.Manager[GroupMember] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "user"],
                name="provisioning_group_member_unique",
                violation_error_message="This user is in the group already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.group_id}"
