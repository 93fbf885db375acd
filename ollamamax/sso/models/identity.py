"""ExternalIdentity: a person as one identity provider knows them, and the user they are here."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant, User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models.provider import IdentityProvider


class ExternalIdentity(models.Model):
    """Known by provider and ``subject`` alone: an address that moves to somebody else takes no account along.

    ``claims`` are those of the last log-in, for dry runs of role rules.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="identities")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    subject = models.CharField(max_length=255)
    claims = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()

    objects: models.Manager[ExternalIdentity] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "subject"],
                name="sso_identity_subject_unique",
                violation_error_message="This identity belongs to a user already.",
            ),
            models.UniqueConstraint(
                fields=["provider", "user"],
                name="sso_identity_user_unique",
                violation_error_message="This user has an identity at the provider already.",
            ),
        ]

    def __str__(self) -> str:
        return self.subject
