"""Reads of providers that are directories: how they are asked."""

from __future__ import annotations

from django.conf import settings

from ollamamax.identity.scope import tenant_scope
from ollamamax.sso.ldap.directory import LdapDirectory
from ollamamax.sso.ldap.people import MEMBER_OF
from ollamamax.sso.models import IdentityProvider, LdapSettings
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.sealed import opened

GROUPS = "groups"
"""The claim that rules see groups in; it is asked for by a way of its own."""


def directory_of_provider(provider: IdentityProvider) -> LdapDirectory:
    """With the claims that rules ask for. Raises `SsoRefused`, and `CannotOpen` for a password that cannot be read. Queries: 2."""
    with tenant_scope(provider.tenant_id):
        row = LdapSettings.objects.filter(provider=provider).first()
        claims = list(provider.rules.values_list("claim", flat=True))
    if row is None:
        raise SsoRefused(Why.UNKNOWN_PROVIDER, "The provider is no directory.")
    wanted = dict.fromkeys((provider.email_claim, provider.name_claim, *claims))
    return LdapDirectory(
        addresses=tuple(row.addresses),
        ca=row.ca,
        bind_dn=provider.client_id,
        bind_password=opened(provider.sealed_secret, provider.place),
        base=provider.issuer,
        user_filter=row.user_filter,
        subject=row.subject_attribute,
        attributes=tuple(name for name in wanted if name not in {GROUPS, MEMBER_OF}),
        group_base=row.group_base,
        group_filter=row.group_filter,
        rules=settings.OUTBOUND_RULES,
    )
