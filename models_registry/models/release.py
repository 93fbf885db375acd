"""Release: a version as one model has it, with its stage; ChannelMove: where a channel pointed before and since."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.model import Model
from models_registry.models.version import Version
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

STAGES = ["draft", "staged", "production", "deprecated", "archived"]


class Release(models.Model):
    """``origin`` says how the model got the version; ``by_*`` who brought it. What each stage means is in `models_registry.lifecycle`."""

    class Stage(models.TextChoices):
        DRAFT = "draft"
        STAGED = "staged"
        PRODUCTION = "production"
        DEPRECATED = "deprecated"
        ARCHIVED = "archived"

    class Origin(models.TextChoices):
        PUBLISHED = "published"
        PUSHED = "pushed"
        COPIED = "copied"
        ENGINE = "engine", "kept by an engine"
        BUNDLE = "bundle", "from a bundle"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="releases")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="releases")
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.DRAFT)
    stage_changed_at = models.DateTimeField(default=timezone.now)
    origin = models.CharField(max_length=16, choices=Origin.choices)
    by_kind = models.CharField(max_length=16)
    by_id = models.CharField(max_length=100)
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[Release] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "version"],
                name="registry_release_unique",
                violation_error_message="The model has this version already.",
            ),
            models.CheckConstraint(
                condition=models.Q(stage__in=STAGES),
                name="registry_release_stage_known",
                violation_error_message="Not a stage of a version.",
            ),
            models.CheckConstraint(
                condition=models.Q(origin__in=["published", "pushed", "copied", "engine", "bundle"]),
                name="registry_release_origin_known",
                violation_error_message="Not a way by which a model gets a version.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} in {self.model_id}: {self.stage}"


class ChannelMove(models.Model):
    """Digests and not rows: a move is remembered when its versions are gone. Empty: the channel was new, or was removed."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="moves")
    channel = models.CharField(max_length=128)
    from_version = models.CharField(max_length=71, default="", blank=True)
    to_version = models.CharField(max_length=71, default="", blank=True)
    reason = models.CharField(max_length=500, default="", blank=True)
    by_kind = models.CharField(max_length=16)
    by_id = models.CharField(max_length=100)
    by_name = models.CharField(max_length=254)
    moved_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[ChannelMove] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["model", "channel", "-id"], name="registry_move_of_channel")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(from_version=models.F("to_version")),
                name="registry_move_moves",
                violation_error_message="A channel that stays where it is has not moved.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.from_version} -> {self.to_version}"
