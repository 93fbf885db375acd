"""IdentityProvider: a program of a tenant's that vouches for its people, and RoleRule: which role what it says of them gives."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Role, Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class IdentityProvider(models.Model):
    """``issuer`` is how it names itself, exactly, and ``client_id`` how it names us; ``sealed_secret`` lies in the secret box, and is empty for
    a public client. A directory's ``issuer`` is its base, ``client_id`` the account that asks it, and the secret that one's password. What is
    of one kind alone is in a table of that (`SamlSettings`, `LdapSettings`).

    ``default_role`` is for those that no rule names; without one they are refused. ``creates_users``: whoever it vouches for and has no account
    gets one. ``email_claim`` and ``name_claim`` say where it puts these.
    """

    class Kind(models.TextChoices):
        OIDC = "oidc"
        SAML = "saml"
        LDAP = "ldap"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.OIDC)
    name = models.CharField(max_length=100)
    issuer = models.CharField(max_length=1000)
    client_id = models.CharField(max_length=255)
    sealed_secret = models.BinaryField(default=bytes)
    scopes = models.JSONField(default=list)
    email_claim = models.CharField(max_length=100, default="email")
    name_claim = models.CharField(max_length=100, default="name")
    default_role = models.ForeignKey(Role, on_delete=models.PROTECT, null=True, related_name="+")
    creates_users = models.BooleanField(default=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[IdentityProvider] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="sso_provider_name_unique",
                violation_error_message="There is an identity provider of this name already.",
            ),
            models.UniqueConstraint(
                fields=["tenant", "issuer", "client_id"],
                name="sso_provider_client_unique",
                violation_error_message="There is an identity provider with this issuer and client already.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name="") & ~models.Q(issuer="") & ~models.Q(client_id=""),
                name="sso_provider_named",
                violation_error_message="An identity provider has a name, an issuer and a client id.",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=["oidc", "saml", "ldap"]),
                name="sso_provider_kind_known",
                violation_error_message="An identity provider speaks OpenID Connect, SAML or LDAP.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Where its secret is sealed for."""
        return f"sso.provider:{self.id.hex}"


class RoleRule(models.Model):
    """The first rule, by ``position``, whose claim holds ``pattern`` gives its role (`ollamamax.sso.claims.Rule`)."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="rules")
    position = models.PositiveSmallIntegerField()
    claim = models.CharField(max_length=100)
    pattern = models.CharField(max_length=255)
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="+")

    objects: models.Manager[RoleRule] = tenant_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "position"],
                name="sso_rule_position_unique",
                violation_error_message="Two rules have the same place.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.claim} is {self.pattern}"
