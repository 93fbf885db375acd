"""What a person proves besides a password that they are themselves: authenticator programs, passkeys and recovery codes."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.user import User
from ollamamax.kernel import ids


class TotpDevice(models.Model):
    """An authenticator program (RFC 6238). ``last_step`` is the newest time step whose code was taken, so that none counts twice.

    Until ``confirmed_at``, when its first code was shown to be right, it counts for nothing.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100, default="", blank=True)
    sealed_secret = models.BinaryField()
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name or self.id.hex

    @property
    def place(self) -> str:
        """Where its secret is sealed for."""
        return f"identity.totp:{self.id.hex}"


class Passkey(models.Model):
    """A WebAuthn credential. ``host`` is the name under which it works; ``sign_count`` as the authenticator told it last."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    host = models.CharField(max_length=255)
    credential_id = models.BinaryField()
    public_key = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    transports = models.JSONField(default=list)
    backed_up = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["credential_id"],
                name="identity_passkey_unique",
                violation_error_message="This passkey is registered already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """One of ten codes that each let their user in once; only the SHA-256 is kept, which is enough for 80 random bits."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "code_hash"],
                name="identity_recovery_code_unique",
                violation_error_message="This recovery code is there already.",
            )
        ]

    def __str__(self) -> str:
        return self.id.hex
