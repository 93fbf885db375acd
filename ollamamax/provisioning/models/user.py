"""DirectoryUser: a person as the directory of an identity provider tells of them, and the membership that follows."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from ollamamax.identity.models import Membership, Tenant, User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models import IdentityProvider


class DirectoryUser(models.Model):
    """``resource`` is the SCIM user without its password, id and groups; ``version`` counts its changes.

    ``address`` is the e-mail address, in small letters, that the account has or would get; ``waits`` says why there is no membership, and is empty
    where there is one, and where nobody waits because the directory calls the person inactive. ``made_account``: the account was made for
    this row. A row that was removed keeps nothing but whose account was made for it: should the
    directory name the address again, that account is the person's.
    """

    class Waits(models.TextChoices):
        NOTHING = ""
        NO_ADDRESS = "no_address"
        FOREIGN_DOMAIN = "foreign_domain"
        ADDRESS_TAKEN = "address_taken"
        NO_ROLE = "no_role"
        BREAK_GLASS = "break_glass"
        NO_ROOM = "no_room"
        KEPT_OUT = "kept_out"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="directory_users")
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    membership = models.OneToOneField(Membership, on_delete=models.SET_NULL, null=True, related_name="directory_user")
    user_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, default="", blank=True)
    address = models.CharField(max_length=254, default="", blank=True)
    active = models.BooleanField(default=True)
    resource = models.JSONField(default=dict)
    waits = models.CharField(max_length=16, choices=Waits, default="", blank=True)
    made_account = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    removed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[DirectoryUser] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "provider",
                Lower("user_name"),
                condition=models.Q(removed_at=None),
                name="provisioning_user_name_unique",
                violation_error_message="There is a user with this userName already.",
            )
        ]
        indexes = [
            models.Index(fields=["provider", "external_id"], name="provisioning_user_external"),
            models.Index(fields=["provider", "address"], name="provisioning_user_address"),
        ]

    def __str__(self) -> str:
        return self.user_name
