"""Version: an immutable manifest, known by its sha256. The database refuses every change of a row."""

from __future__ import annotations

from django.db import models

from models_registry.models.blob import Blob
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Version(models.Model):
    """``hosted``: its bytes are blobs of ours. ``external``: an engine keeps it; ``digest`` is the engine's own.

    ``artifact``: blobs of ours that no node serves, such as a container's image; ``digest`` is that of the manifest as it was pushed.
    """

    class Source(models.TextChoices):
        HOSTED = "hosted"
        EXTERNAL = "external"
        ARTIFACT = "artifact"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=71)
    source = models.CharField(max_length=16, choices=Source.choices)
    manifest = models.JSONField()
    size = models.PositiveBigIntegerField()
    details = models.JSONField(default=dict)
    blobs = models.ManyToManyField(Blob, related_name="versions")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[Version] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "digest"],
                name="registry_version_digest_unique",
                violation_error_message="This version is published already.",
            ),
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^sha256:[0-9a-f]{64}$"),
                name="registry_version_digest_form",
                violation_error_message="A digest is sha256: and 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=models.Q(source__in=["hosted", "external", "artifact"]),
                name="registry_version_source_known",
                violation_error_message="A version is hosted, external or an artifact.",
            ),
        ]

    def __str__(self) -> str:
        return self.digest
