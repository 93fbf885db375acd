"""PasswordReset: somebody asked to set a new password for an address, whether there is such a user or not."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.user import User
from ollamamax.kernel import ids


class PasswordReset(models.Model):
    """Answered by a loop, so that asking takes as long for an address that nobody has. ``token_hash`` is the SHA-256 of what the
    letter's link holds; empty as long as no letter was written, and for ever where there is nobody to write to."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    email = models.CharField(max_length=254)
    language = models.CharField(max_length=2)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    token_hash = models.CharField(max_length=64, default="", blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], condition=models.Q(answered_at=None), name="identity_reset_asked"),
        ]

    def __str__(self) -> str:
        return self.id.hex
