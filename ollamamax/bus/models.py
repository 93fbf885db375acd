"""What the control plane has committed and a region's directory was not told yet; and who leads the control loops."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class Unpublished(models.Model):
    """One field of one table that may differ in one region. Written in the transaction that changed the truth, deleted when the region was told."""

    region = models.CharField(max_length=63, blank=True)
    table = models.CharField(max_length=63)
    field = models.TextField()
    since = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["region", "id"], name="unpublished_region")]

    def __str__(self) -> str:
        return f"{self.table} {self.field}"


class LoopLease(models.Model):
    """Which process leads the loops that write Postgres. ``fence`` grows with every new leader."""

    name = models.CharField(primary_key=True, max_length=63)
    holder = models.CharField(max_length=32, default="")
    fence = models.BigIntegerField(default=0)
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} {self.holder}"
