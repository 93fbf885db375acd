"""Membership: a user in a tenant, with a role there; RemovedMember: somebody who was taken out of one."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.role import Role
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Membership(models.Model):
    """Only an active one gives any rights: a tenant suspends a membership, never the user, who may be a member of others.

    ``source`` says who keeps it, and ``external_id`` by which name it is known there; empty for one that is kept here.
    ``withheld``: suspended by who keeps it and by nobody here, because nothing that is said of the user gives them a role any more.
    ``last_log_in_at``: when its user last logged in to, or entered, this tenant, and by which method.
    """

    class State(models.TextChoices):
        INVITED = "invited"
        ACTIVE = "active"
        SUSPENDED = "suspended"

    class Source(models.TextChoices):
        LOCAL = "local"
        OIDC = "oidc"
        SAML = "saml"
        SCIM = "scim"
        LDAP = "ldap"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="memberships")
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    source = models.CharField(max_length=16, choices=Source, default=Source.LOCAL)
    external_id = models.CharField(max_length=255, default="", blank=True)
    withheld = models.BooleanField(default=False)
    last_log_in_at = models.DateTimeField(null=True)
    last_log_in_method = models.CharField(max_length=16, default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[Membership] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user"],
                name="identity_membership_unique",
                violation_error_message="This user is a member of the tenant already.",
            ),
            models.UniqueConstraint(
                fields=["tenant", "source", "external_id"],
                condition=~models.Q(external_id=""),
                name="identity_membership_external_unique",
                violation_error_message="There is a member with this external id already.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["invited", "active", "suspended"]),
                name="identity_membership_state_known",
                violation_error_message="A membership is invited, active or suspended.",
            ),
            models.CheckConstraint(
                condition=models.Q(withheld=False) | models.Q(state="suspended"),
                name="identity_membership_withheld_suspended",
                violation_error_message="A membership that is withheld is suspended.",
            ),
            models.CheckConstraint(
                condition=models.Q(source__in=["local", "oidc", "saml", "scim", "ldap"]),
                name="identity_membership_source_known",
                violation_error_message="A membership is kept here, or by OIDC, SAML, SCIM or LDAP.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role_id} of {self.tenant_id}"


class RemovedMember(models.Model):
    """Whoever was removed by hand: no identity provider makes them a member again, until somebody adds or invites them."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[RemovedMember] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user"],
                name="identity_removed_member_unique",
                violation_error_message="This user was removed already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is no member of {self.tenant_id}"
