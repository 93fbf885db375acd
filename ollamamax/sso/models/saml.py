"""SamlSettings: what an identity provider of the kind `saml` has besides; and SamlAnswer: what it said, until the browser comes for it."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models.provider import IdentityProvider


class SamlSettings(models.Model):
    """``certificates`` (base64) are the provider's, several while one takes another's place; ``certificate`` and ``sealed_key`` are ours.

    ``metadata_url`` is where its metadata are read again, empty where they were given. ``subject_claim`` is the claim that a person is known
    by, empty for the NameID. ``unsolicited``: whether it may begin a log-in that nobody here asked for.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.OneToOneField(IdentityProvider, on_delete=models.CASCADE, related_name="saml")
    metadata_url = models.CharField(max_length=2000, default="", blank=True)
    sso_url = models.CharField(max_length=2000)
    slo_url = models.CharField(max_length=2000, default="", blank=True)
    certificates = models.JSONField(default=list)
    subject_claim = models.CharField(max_length=100, default="", blank=True)
    unsolicited = models.BooleanField(default=False)
    encrypted = models.BooleanField(default=False)
    certificate = models.TextField()
    sealed_key = models.BinaryField()
    read_at = models.DateTimeField()

    objects: models.Manager[SamlSettings] = tenant_manager()

    def __str__(self) -> str:
        return self.sso_url

    @property
    def place(self) -> str:
        """Where our key is sealed for."""
        return f"sso.saml:{self.id.hex}"


class SamlAnswer(models.Model):
    """Whom a provider vouched for, until the browser that asked comes for it with its session, which a form of another site's does not send.

    ``ticket_hash`` is of what the browser brings; ``sealed`` lies in the secret box.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="+")
    ticket_hash = models.CharField(max_length=64)
    sealed = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    objects: models.Manager[SamlAnswer] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "ticket_hash"],
                name="sso_saml_answer_unique",
                violation_error_message="There is an answer with this ticket already.",
            )
        ]

    def __str__(self) -> str:
        return self.id.hex

    @property
    def place(self) -> str:
        return f"sso.saml_answer:{self.id.hex}"
