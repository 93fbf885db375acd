"""AuditStream: a syslog server of a tenant's choosing that is given every record of one chain of the audit trail."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class AuditStream(models.Model):
    """``seq`` is the number of the last record that arrived, ``missed`` how many were dropped with their month before they could be sent.

    ``authority`` (PEM) is trusted instead of the system's. ``answered``: the receiver answers the end of each connection, so that what it took is
    known. ``failures`` counts attempts in a row that failed; until ``wait_until`` there is none. Whoever is at it is ``runner``, until ``lease_until``.
    """

    class Form(models.TextChoices):
        JSON = "json"
        CEF = "cef"
        OCSF = "ocsf"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    chain = models.CharField(max_length=32)
    name = models.CharField(max_length=100)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    form = models.CharField(max_length=8, choices=Form)
    authority = models.TextField(blank=True)
    answered = models.BooleanField()
    enabled = models.BooleanField()
    seq = models.BigIntegerField()
    missed = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    failures = models.PositiveIntegerField()
    error = models.CharField(max_length=300, blank=True)
    failing_since = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    wait_until = models.DateTimeField(null=True)
    runner = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True)

    objects: models.Manager[AuditStream] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="notifications_stream_name",
                violation_error_message="There is a stream of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(form__in=["json", "cef", "ocsf"], port__gte=1, port__lte=65535),
                name="notifications_stream_known",
                violation_error_message="A stream has a known format and a port from 1 to 65535.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
