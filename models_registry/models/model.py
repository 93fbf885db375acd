"""Model: a name in a tenant; Channel: a movable pointer from one of its tags to a version."""

from __future__ import annotations

from django.db import models

from models_registry.models.version import Version
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Model(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    profile = models.JSONField(default=dict)
    """`ollamamax.contract.profile.Profile`, without what is as by default."""
    fallbacks = models.JSONField(default=list)
    """A list of `models_registry.fallback.Fallback`, for all names of the model."""
    shared = models.BooleanField(default=False)
    """Whether every tenant may use it by its name; of the operator's tenant only."""
    card = models.TextField(default="", blank=True)
    """What people ought to know of it, in Markdown."""
    licence = models.CharField(max_length=100, default="", blank=True)
    """An SPDX identifier, or a name."""
    tags = models.JSONField(default=list)
    """Words that it is found by."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[Model] = tenant_manager()

    class Meta:
        default_permissions = ()
        permissions = [
            ("model.view", "See the model"),
            ("model.manage", "Manage the model"),
            ("model.promote", "Promote and approve versions of the model"),
            ("inference.use", "Ask the model"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="registry_model_name_unique",
                violation_error_message="There is a model of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    name__regex=r"^/?[A-Za-z0-9_]([A-Za-z0-9._-]{0,99}:[0-9]{1,5}/)?[A-Za-z0-9._/@+-]{0,199}$"
                ),
                name="registry_model_name_form",
                violation_error_message="A model's name has up to 200 letters, digits, and . _ / @ + -; it may begin with a registry's host and port, or with a slash.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Channel(models.Model):
    """What stands after the colon: ``latest``, ``135m``, ``stable``."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="channels")
    name = models.CharField(max_length=128)
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="channels")
    moved_at = models.DateTimeField()
    image = models.CharField(max_length=71, default="", blank=True)
    """The digest of the manifest that it was pushed with, where it was pushed by the registry protocol."""
    protected = models.BooleanField(default=False)
    """Whether it takes versions in production only, and moves by those only who may promote."""

    objects: models.Manager[Channel] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "name"],
                name="registry_channel_name_unique",
                violation_error_message="The model has a channel of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"),
                name="registry_channel_name_form",
                violation_error_message="A channel's name has up to 128 letters, digits, and . _ -.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
