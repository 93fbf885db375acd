"""The tables of single sign-on, one noun a file."""

from __future__ import annotations

from ollamamax.sso.models.account import BreakGlassAccount
from ollamamax.sso.models.domain import EmailDomain
from ollamamax.sso.models.identity import ExternalIdentity
from ollamamax.sso.models.ldap import LdapSettings
from ollamamax.sso.models.provider import IdentityProvider, RoleRule
from ollamamax.sso.models.saml import SamlAnswer, SamlSettings
from ollamamax.sso.models.session import ExternalSession, UsedToken

__all__ = [
    "BreakGlassAccount",
    "EmailDomain",
    "ExternalIdentity",
    "ExternalSession",
    "IdentityProvider",
    "LdapSettings",
    "RoleRule",
    "SamlAnswer",
    "SamlSettings",
    "UsedToken",
]
