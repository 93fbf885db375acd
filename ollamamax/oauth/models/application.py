"""Application: a front end of the tenant's whose people log in here (a client of OpenID Connect); ApplicationUsers: a role or a team that may use it."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Role, SigningKey, Team, Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Application(models.Model):
    """``id`` is its ``client_id``. ``secret_hash`` (SHA-256, hex) is empty for a public one, which has no secret. ``for_everybody``: every
    member of the tenant may use it, else those alone whom `ApplicationUsers` names.

    ``id_token_signed_response_alg``: by what its ID tokens are signed (OpenID Connect Dynamic Client Registration 1.0, section 2).
    ``redirect_uris`` are where codes may be sent to, ``log_out_uris`` where a browser may be led to after log-out: compared as texts.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    secret_hash = models.CharField(max_length=64, default="", blank=True)
    redirect_uris = models.JSONField()
    log_out_uris = models.JSONField(default=list)
    for_everybody = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    id_token_signed_response_alg = models.CharField(
        max_length=5,
        choices=SigningKey.Algorithm,
        default=SigningKey.Algorithm.RS256,
        db_default="RS256",
    )
    created_by_name = models.CharField(max_length=254, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    secret_made_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    objects: models.Manager[Application] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="oauth_application_name_unique",
                violation_error_message="There is an application of this name already.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name=""),
                name="oauth_application_named",
                violation_error_message="An application has a name.",
            ),
            models.CheckConstraint(
                condition=models.Q(id_token_signed_response_alg__in=["RS256", "ES256"]),
                name="oauth_application_id_token_algorithm_known",
                violation_error_message="ID tokens are signed by RS256 or ES256.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_public(self) -> bool:
        return not self.secret_hash


class ApplicationUsers(models.Model):
    """Either a role or a team."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="users")
    role = models.ForeignKey(Role, on_delete=models.CASCADE, null=True, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="+")

    objects: models.Manager[ApplicationUsers] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["application", "role"],
                name="oauth_application_users_role_unique",
                violation_error_message="This role may use the application already.",
            ),
            models.UniqueConstraint(
                fields=["application", "team"],
                name="oauth_application_users_team_unique",
                violation_error_message="This team may use the application already.",
            ),
            models.CheckConstraint(
                condition=models.Q(role=None, team__isnull=False) | models.Q(role__isnull=False, team=None),
                name="oauth_application_users_one",
                violation_error_message="Either a role or a team uses an application.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role_id or self.team_id} uses {self.application_id}"
