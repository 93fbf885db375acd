"""Image: a manifest as the registry protocol has it, its exact bytes under their own digest in one model's repository."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.model import Model
from models_registry.models.version import Version
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Image(models.Model):
    """``version`` is what nodes serve of it, or an artefact that none serves. ``subject``: the digest that it refers to, perhaps of one not there."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="images")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="images")
    digest = models.CharField(max_length=71)
    media_type = models.CharField(max_length=200)
    body = models.BinaryField()
    artifact_type = models.CharField(max_length=200, default="", blank=True)
    subject = models.CharField(max_length=71, default="", blank=True)
    annotations = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[Image] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["model", "subject"], name="registry_image_subject")]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "digest"],
                name="registry_image_digest_unique",
                violation_error_message="The repository has this manifest already.",
            ),
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^sha256:[0-9a-f]{64}$"),
                name="registry_image_digest_form",
                violation_error_message="A digest is sha256: and 64 hexadecimal digits.",
            ),
        ]

    def __str__(self) -> str:
        return self.digest
