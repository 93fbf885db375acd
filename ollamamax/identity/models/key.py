"""ApiKey: a program's way in, to one tenant. Only the hash of its secret is kept."""

from __future__ import annotations

import datetime

from django.db import models

from ollamamax.identity.models.limits import Limited, limit_constraints
from ollamamax.identity.models.session import UserSession
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.kernel.reach import Reach


class Priority(models.TextChoices):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class ApiKey(Limited):
    """``permissions`` lists what it may do, never more than its maker could. Revoked is for ever, and gives the name free.

    ``created_by_name`` is the email address that its maker had then, and stays when that user is removed; empty where the system made it.
    ``priority`` is the highest class that its requests may ask for. ``strict_fields`` as its tenant's, whose word counts where it is null.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_by_name = models.CharField(max_length=254, default="")
    of_session = models.BooleanField(default=False)
    """Whether it is a token of a page: for inference alone, listed nowhere, and of no use when ``session`` has ended."""
    session = models.ForeignKey(UserSession, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=100)
    identifier = models.CharField(max_length=16)
    secret_hash = models.CharField(max_length=64)
    has_secret = models.BooleanField(default=True, db_default=True)
    """Whether anybody was ever shown its text: not that of a workload, which gets tokens by what another issuer says of it."""
    previous_identifier = models.CharField(max_length=16, default="", blank=True)
    previous_hash = models.CharField(max_length=64, default="", blank=True)
    previous_until = models.DateTimeField(null=True)
    """Until when the text that it had before it was rotated works besides."""
    rotated_at = models.DateTimeField(null=True)
    permissions = models.JSONField(default=list)
    reach_addresses = models.JSONField(default=list, db_default=[])
    """Networks from which alone it may be used; empty: from everywhere. These three as in `Reach`."""
    reach_routes = models.JSONField(default=list, db_default=[])
    reach_models = models.JSONField(default=list, db_default=[])
    priority = models.CharField(max_length=8, choices=Priority, default=Priority.NORMAL)
    strict_fields = models.BooleanField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects: models.Manager[ApiKey] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identifier"],
                name="identity_key_identifier_unique",
                violation_error_message="There is a key with this identifier already.",
            ),
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=models.Q(revoked_at=None),
                name="identity_key_name_unique",
                violation_error_message="There is a key of this name already.",
            ),
            models.UniqueConstraint(
                fields=["previous_identifier"],
                condition=~models.Q(previous_identifier=""),
                name="identity_key_previous_identifier_unique",
                violation_error_message="There is a key with this identifier already.",
            ),
            models.CheckConstraint(
                condition=models.Q(identifier__regex=r"^[A-Za-z0-9]{16}$"),
                name="identity_key_identifier_form",
                violation_error_message="A key's identifier has 16 letters and digits.",
            ),
            models.CheckConstraint(
                condition=models.Q(secret_hash__regex=r"^[0-9a-f]{64}$"),  # noqa: S106 - a pattern
                name="identity_key_hash_form",
                violation_error_message="A key is stored as the SHA-256 of its secret.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name=""),
                name="identity_key_name_given",
                violation_error_message="A key needs a name.",
            ),
            models.CheckConstraint(
                condition=models.Q(priority__in=Priority.values),
                name="identity_key_priority_known",
                violation_error_message="A key's priority is high, normal or low.",
            ),
            *limit_constraints("identity_key"),
        ]

    def __str__(self) -> str:
        return f"omx_{self.identifier}"

    @property
    def reach(self) -> Reach:
        return Reach(tuple(self.reach_addresses), tuple(self.reach_routes), tuple(self.reach_models))

    def is_usable(self, now: datetime.datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)
