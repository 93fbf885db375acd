"""SigningKey: what the installation signs access tokens and ID tokens with. Each is used for a month; its public half is shown for as long as its tokens live."""

from __future__ import annotations

from django.db import models

from ollamamax.kernel import ids


class SigningKey(models.Model):
    """``kid`` names it in tokens; ``public`` is PEM, and the private half lies in the secret box. Access tokens are signed by ``ES256`` alone,
    ID tokens by what their application wants."""

    class Algorithm(models.TextChoices):
        RS256 = "RS256"
        ES256 = "ES256"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kid = models.CharField(max_length=32, unique=True)
    public = models.TextField()
    sealed_private = models.BinaryField()
    algorithm = models.CharField(max_length=5, choices=Algorithm, default=Algorithm.ES256, db_default="ES256")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.kid

    @property
    def place(self) -> str:
        """Where its private half is sealed for."""
        return f"identity.signing_key:{self.id.hex}"
