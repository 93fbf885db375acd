"""HistoryRow: the past of one series, packed: an hour in steps of a minute, or a day in steps of an hour."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager


class HistoryRow(models.Model):
    """``series`` as in Redis (`cluster.history.recorder`), ``step`` 60 or 3600 seconds, ``start`` the beginning of the hour or the day (UTC).
    ``packed`` holds entries of `ollamamax.contract.history`. Each ``region`` has rows of its own."""

    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    series = models.CharField(max_length=450)
    region = models.CharField(max_length=63, default="", blank=True)
    step = models.PositiveSmallIntegerField()
    start = models.DateTimeField()
    packed = models.BinaryField()

    objects: models.Manager[HistoryRow] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "series", "step", "start", "region"],
                name="cluster_history_unique",
                violation_error_message="There is this part of the history already.",
            ),
            models.CheckConstraint(
                condition=models.Q(step__in=[60, 3600]),
                name="cluster_history_step_known",
                violation_error_message="A step is a minute or an hour.",
            ),
        ]
        indexes = [models.Index(fields=["step", "start"], name="cluster_history_age")]

    def __str__(self) -> str:
        return f"{self.series} {self.start:%Y-%m-%d %H}"
