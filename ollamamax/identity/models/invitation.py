"""Invitation: somebody may become a member of a tenant, by a link that only they have."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from ollamamax.identity.models.role import Role
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Invitation(models.Model):
    """``token_hash`` is the SHA-256 of what the link holds, which is not kept. It is for one address, works once, and ends.

    With the role that it promises it goes.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    email = models.EmailField(max_length=254)
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True)
    by_mail = models.BooleanField(default=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    invited_by_name = models.CharField(max_length=254, default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    objects: models.Manager[Invitation] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "tenant",
                Lower("email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="identity_invitation_open_once",
                violation_error_message="There is an open invitation for this address already.",
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None) | models.Q(revoked_at=None),
                name="identity_invitation_one_end",
                violation_error_message="An invitation is accepted or revoked, and not both.",
            ),
        ]

    def __str__(self) -> str:
        return self.id.hex
