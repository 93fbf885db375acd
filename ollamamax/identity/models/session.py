"""UserSession: one log-in of a user that has not ended, as its user sees it in a list."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.user import User
from ollamamax.kernel import ids


class UserSession(models.Model):
    """``session_key`` names the session whose data Django keeps; without that this row says nothing any more.

    ``seen_at`` is true to some minutes. A user is a member of several tenants, and so is a session.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=300, default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.id.hex
