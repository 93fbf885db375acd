"""TokenFamily: all tokens that come of one log-in to an application; AuthorizationCode: what begins one; RefreshToken: what continues it."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant, User, UserSession
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.oauth.models.application import Application
from ollamamax.oauth.models.workload import Workload


class TokenFamily(models.Model):
    """Either of a person in an ``application``, and then it ends with their ``session``, or of a ``workload``. ``scope`` as its first token had it,
    words with spaces between; ``auth_time``: when the person logged in. ``revoked_because`` is empty as long as ``revoked_at`` is.
    """

    class Because(models.TextChoices):
        CODE_REUSED = "code_reused"
        REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - a reason

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    session = models.ForeignKey(UserSession, on_delete=models.CASCADE, null=True, related_name="+")
    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, null=True, related_name="+")
    scope = models.CharField(max_length=2000)
    auth_time = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_because = models.CharField(max_length=32, choices=Because, default="", blank=True)

    objects: models.Manager[TokenFamily] = tenant_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(application__isnull=False, user__isnull=False, session__isnull=False, workload=None)
                | models.Q(application=None, user=None, session=None, workload__isnull=False),
                name="oauth_token_family_whose",
                violation_error_message="Tokens are a person's in an application, or a workload's.",
            ),
        ]

    def __str__(self) -> str:
        return self.id.hex


class AuthorizationCode(models.Model):
    """``code_hash`` is SHA-256 (hex). ``challenge`` is that of PKCE, by S256. ``family``: what came of it, where it was used."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    session = models.ForeignKey(UserSession, on_delete=models.CASCADE, related_name="+")
    code_hash = models.CharField(max_length=64, unique=True)
    redirect_uri = models.CharField(max_length=500)
    scope = models.CharField(max_length=200)
    nonce = models.CharField(max_length=500, default="", blank=True)
    challenge = models.CharField(max_length=128)
    auth_time = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    family = models.OneToOneField(TokenFamily, on_delete=models.CASCADE, null=True, related_name="+")

    objects: models.Manager[AuthorizationCode] = tenant_manager()

    def __str__(self) -> str:
        return self.id.hex


class RefreshToken(models.Model):
    """``token_hash`` is SHA-256 (hex). It counts once: whoever shows it again ends its family."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    family = models.ForeignKey(TokenFamily, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    objects: models.Manager[RefreshToken] = tenant_manager()

    def __str__(self) -> str:
        return self.id.hex
