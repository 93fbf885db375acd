"""ExternalSession: the identity provider's side of a session, by which it ends; and UsedToken: what must not count twice."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant, UserSession
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models.identity import ExternalIdentity
from ollamamax.sso.models.provider import IdentityProvider


class ExternalSession(models.Model):
    """``sid`` is the provider's name of its own session, empty where it has none. ``sealed_token`` is the ID token or the NameID,
    by which log-out names it."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    identity = models.ForeignKey(ExternalIdentity, on_delete=models.CASCADE, related_name="sessions")
    session = models.ForeignKey(UserSession, on_delete=models.CASCADE, related_name="+")
    sid = models.CharField(max_length=255, default="", blank=True)
    sealed_token = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[ExternalSession] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["sid"], name="sso_session_sid")]

    def __str__(self) -> str:
        return self.sid or self.id.hex

    @property
    def place(self) -> str:
        """Where its token is sealed for."""
        return f"sso.session:{self.id.hex}"


class UsedToken(models.Model):
    """The identifier of an assertion that was taken, or of a log-out that was obeyed, until it is too old to be anyway."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="+")
    identifier = models.CharField(max_length=255)
    expires_at = models.DateTimeField(db_index=True)

    objects: models.Manager[UsedToken] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "identifier"],
                name="sso_used_token_unique",
                violation_error_message="This token was used already.",
            )
        ]

    def __str__(self) -> str:
        return self.identifier
