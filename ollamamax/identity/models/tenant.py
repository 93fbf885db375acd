"""Tenant: an organisation; everything but users belongs to exactly one."""

from __future__ import annotations

from django.db import models

from ollamamax.kernel import ids


class Tenant(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slug"],
                name="identity_tenant_slug_unique",
                violation_error_message="There is a tenant with this slug already.",
            ),
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="identity_tenant_slug_form",
                violation_error_message="A slug has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug
