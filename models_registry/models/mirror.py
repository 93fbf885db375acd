"""Mirror: a registry elsewhere whose images can be pulled here, below a prefix; and what of them is kept."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.blob import Blob
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Mirror(models.Model):
    """``<prefix>/<rest>`` in the registry protocol means ``<upstream>/<rest>``; ``upstream`` is a host, perhaps with the beginning of a path.

    ``most_bytes``: of blobs that are kept. ``check_seconds``: for how long a tag is believed to point where it did.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    prefix = models.CharField(max_length=64)
    upstream = models.CharField(max_length=255)
    most_bytes = models.PositiveBigIntegerField()
    check_seconds = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[Mirror] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "prefix"],
                name="registry_mirror_prefix_unique",
                violation_error_message="There is a mirror with this prefix already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix} of {self.upstream}"


class MirroredBlob(models.Model):
    """A blob that a manifest of the upstream names; ``blob`` once its bytes are kept here, verified."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    mirror = models.ForeignKey(Mirror, on_delete=models.CASCADE, related_name="blobs")
    repository = models.CharField(max_length=255)
    digest = models.CharField(max_length=71)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=200)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="mirrored", null=True, blank=True)
    used_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[MirroredBlob] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["mirror", "used_at"], name="registry_mirrored_blob_used")]
        constraints = [
            models.UniqueConstraint(
                fields=["mirror", "repository", "digest"],
                name="registry_mirrored_blob_unique",
                violation_error_message="The mirror knows this blob already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class MirroredImage(models.Model):
    """A manifest of the upstream, its exact bytes; ``repository`` is the name below the prefix."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    mirror = models.ForeignKey(Mirror, on_delete=models.CASCADE, related_name="images")
    repository = models.CharField(max_length=255)
    digest = models.CharField(max_length=71)
    media_type = models.CharField(max_length=200)
    body = models.BinaryField()
    blobs = models.ManyToManyField(MirroredBlob, related_name="images", blank=True)
    used_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[MirroredImage] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["mirror", "used_at"], name="registry_mirrored_image_used")]
        constraints = [
            models.UniqueConstraint(
                fields=["mirror", "repository", "digest"],
                name="registry_mirrored_image_unique",
                violation_error_message="The mirror has this manifest already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class MirroredTag(models.Model):
    """Where a tag of the upstream pointed when it was last asked."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    image = models.ForeignKey(MirroredImage, on_delete=models.CASCADE, related_name="tags")
    mirror = models.ForeignKey(Mirror, on_delete=models.CASCADE, related_name="tags")
    repository = models.CharField(max_length=255)
    name = models.CharField(max_length=128)
    checked_at = models.DateTimeField()

    objects: models.Manager[MirroredTag] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mirror", "repository", "name"],
                name="registry_mirrored_tag_unique",
                violation_error_message="The mirror has this tag already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository}:{self.name}"
