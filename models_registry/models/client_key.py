"""ClientKey: the key pair of somebody's Ollama, which speaks the registry protocol as one API key would."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class ClientKey(models.Model):
    """``public_key`` is the base64 of an OpenSSH public key. It may what ``key`` may, and goes with it."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey("identity.ApiKey", on_delete=models.CASCADE, related_name="client_keys")
    public_key = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[ClientKey] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["public_key"],
                name="registry_client_key_unique",
                violation_error_message="This public key is registered already.",
            ),
        ]

    def __str__(self) -> str:
        return self.public_key
