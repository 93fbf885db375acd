"""Alias: a name of a tenant for one of its models, such as ``gpt-4o:latest`` for ``smollm2:135m``."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Alias(models.Model):
    """``target`` is a name, not a row: an alias survives its model, and says so to who asks for it."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=340)
    target = models.CharField(max_length=340)
    fallbacks = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField()

    objects: models.Manager[Alias] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="registry_alias_name_unique",
                violation_error_message="There is an alias of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    name__regex=r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,206}:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
                ),
                name="registry_alias_name_form",
                violation_error_message="An alias is a name and a tag: letters, digits and . _ / -, a colon, a tag.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name=models.F("target")),
                name="registry_alias_of_another",
                violation_error_message="A name cannot be an alias of itself.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} -> {self.target}"
