"""LdapSettings: what an identity provider of the kind `ldap` has besides: where a directory is asked, and how it finds people and groups."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models.provider import IdentityProvider


class LdapSettings(models.Model):
    """``addresses`` are tried in their order: ``ldaps://host:port``, or ``ldap://host:port`` where TLS begins by StartTLS. ``ca`` is one or more
    certificates in PEM that theirs are of, empty for the system's. ``user_filter`` holds ``{login}``; ``subject_attribute`` names one person
    for good.

    ``group_base`` empty: groups are the values of ``memberOf``; else they are searched there by ``group_filter``, which holds ``{dn}``.
    ``synced_at`` is when everybody known was last looked up, ``sync_error`` why that failed, empty where it did not.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.OneToOneField(IdentityProvider, on_delete=models.CASCADE, related_name="ldap")
    addresses = models.JSONField(default=list)
    ca = models.TextField(default="", blank=True)
    user_filter = models.CharField(max_length=1000)
    subject_attribute = models.CharField(max_length=100)
    group_base = models.CharField(max_length=1000, default="", blank=True)
    group_filter = models.CharField(max_length=1000, default="", blank=True)
    asked_at = models.DateTimeField(null=True, db_index=True)
    synced_at = models.DateTimeField(null=True)
    sync_error = models.CharField(max_length=500, default="", blank=True)

    objects: models.Manager[LdapSettings] = tenant_manager()

    def __str__(self) -> str:
        return ", ".join(self.addresses)
