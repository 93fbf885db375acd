"""Writes of identity providers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import IDENTITY_PROVIDERS, require_room
from ollamamax.identity.models import Tenant
from ollamamax.identity.queries.member import members_of_tenant
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.outbound.addresses import OutboundRefused, checked_url
from ollamamax.sso import discovery
from ollamamax.sso.actions.ldap import take_ldap
from ollamamax.sso.actions.rule import replace_rules, require_to_give, require_to_give_all
from ollamamax.sso.actions.saml import take_saml, trust_of
from ollamamax.sso.claims import Rule
from ollamamax.sso.ldap.directory import check_dn
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from ollamamax.sso.queries.provider import get_provider
from ollamamax.sso.queries.saml import entity_of
from ollamamax.sso.saml.metadata import SamlTrust
from ollamamax.sso.sealed import sealed

SCOPES = ("openid", "email", "profile")
_TAKEN = "There is an identity provider of this name, or with this issuer and client, already."
_SUBJECT = {"subject_claim", "subject_attribute"}
_VOUCHES = {"certificates", "metadata_url", "sso_url", "addresses", "ca", "user_filter", "group_base", "group_filter"}
_HIDDEN = "changed"
"""What the audit trail is told of a secret."""


def create_provider(
    *,
    acting: Principal,
    name: str,
    kind: str = IdentityProvider.Kind.OIDC,
    issuer: str = "",
    client_id: str = "",
    saml: Mapping[str, Any] | None = None,
    ldap: Mapping[str, Any] | None = None,
    rules: Sequence[Rule] = (),
    **given: Any,
) -> IdentityProvider:
    """A way for people of the tenant to log in. ``given`` as `change_provider` takes it.

    By OpenID Connect it needs ``issuer`` and ``client_id``; by SAML ``saml``, whose metadata say the issuer, and we are called by our own. A
    directory needs ``ldap``; its ``issuer`` is the base below which its people are, ``client_id`` and ``client_secret`` the account that asks it.
    Raises `Forbidden` for a role that ``acting`` may not give, `InvalidRequest`, and `Conflict` for a name or client that is there.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    trust = _trust(kind, saml)
    _require_kind(kind, IdentityProvider.Kind.LDAP, ldap)
    if trust is None:
        _check_whose(kind, {"issuer": issuer, "client_id": client_id})
    if ldap is not None:
        given = {"email_claim": "mail", "name_claim": "displayName"} | given
    tenant = get_tenant(tenant_id)
    made = IdentityProvider(
        tenant_id=tenant_id, kind=kind, name=_named(name), issuer=issuer, client_id=client_id, scopes=list(SCOPES)
    )
    if trust is not None:
        made.issuer, made.client_id = trust.entity, entity_of(made)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            require_room(IDENTITY_PROVIDERS, IdentityProvider.objects.all())
            take_over(made, _values(acting, tenant, made, given))
            made.save(force_insert=True)
            if saml is not None:
                take_saml(made, saml, trust)
            if ldap is not None:
                take_ldap(made, ldap)
            replace_rules(acting, tenant, made, rules)
            record(
                acting=acting,
                action="sso.create_provider",
                target_type="identity_provider",
                target_id=made.pk,
                tenant=tenant_id,
                detail={"name": made.name, "kind": kind, "issuer": made.issuer, "client_id": made.client_id}
                | {"rules": len(rules)}
                | _told(given),
            )
    except IntegrityError as error:
        raise Conflict(_TAKEN) from error
    return made


def change_provider(
    *,
    acting: Principal,
    provider_id: uuid.UUID,
    rules: Sequence[Rule] | None = None,
    saml: Mapping[str, Any] | None = None,
    ldap: Mapping[str, Any] | None = None,
    **given: Any,
) -> IdentityProvider:
    """What is not given stays: ``name``, ``issuer``, ``client_id``, ``client_secret``, ``scopes``, ``email_claim``, ``name_claim``,
    ``default_role`` (a slug, or ``None``), ``creates_users``, ``enabled``, and what ``saml`` or ``ldap`` holds. Rules are replaced as a whole.

    ``issuer``, ``client_id`` and the claim that is the subject stay for good once somebody is known by them: at another issuer the same
    subject is another person. The account that asks a directory is its ``client_id``, and may change. Raises `Forbidden`, `InvalidRequest`, `NotFound` and `Conflict`.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    if "name" in given:
        given["name"] = _named(given["name"])
    with tenant_scope(tenant_id):
        kind = get_provider(provider_id).kind
    if kind == IdentityProvider.Kind.SAML and {"issuer", "client_id", "client_secret", "scopes"} & given.keys():
        raise InvalidRequest("Its issuer is what its metadata say, and there is no client of it.", param="issuer")
    trust = None if saml is None else _trust(kind, saml, needed=False)
    if ldap is not None:
        _require_kind(kind, IdentityProvider.Kind.LDAP, ldap)
    if trust is not None:
        given["issuer"] = trust.entity
    else:
        _check_whose(kind, given)
    tenant = get_tenant(tenant_id)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            found = _locked(provider_id)
            before = found.issuer
            changed = take_over(found, _values(acting, tenant, found, given))
            others = {} if saml is None else take_saml(found, saml, trust)
            others |= {} if ldap is None else take_ldap(found, ldap)
            if (_whose(kind) & changed.keys() or _SUBJECT & others.keys()) and _is_known(found):
                raise Conflict("People are known by this issuer and client already: make another identity provider.")
            if {"issuer", "client_id"} & changed.keys() or _VOUCHES & others.keys():
                require_to_give_all(acting, tenant, found)
            ruled = rules is not None and replace_rules(acting, tenant, found, rules)
            if not changed and not ruled and not others:
                return found
            _require_a_door(tenant, found)
            found.save()
            record(
                acting=acting,
                action="sso.change_provider",
                target_type="identity_provider",
                target_id=found.pk,
                tenant=tenant_id,
                detail={"name": found.name}
                | _told({name: given[name] for name in given if _column(name) in changed})
                | ({kind: others} if others else {})
                | ({"rules": [f"{each.claim}: {each.pattern} → {each.role}" for each in rules or ()]} if ruled else {}),
            )
            if "enabled" in changed:
                sockets.recheck_on_commit(members_of_tenant())
    except IntegrityError as error:
        raise Conflict(_TAKEN) from error
    discovery.forget(before)
    return found


def _trust(kind: str, saml: Mapping[str, Any] | None, *, needed: bool = True) -> SamlTrust | None:
    """What a provider's metadata say, which may be asked for; ``None`` for one of another kind. Raises `InvalidRequest`."""
    _require_kind(kind, IdentityProvider.Kind.SAML, saml)
    found = None if saml is None else trust_of(saml)
    if found is None and saml is not None and needed:
        raise InvalidRequest("The provider's metadata, or their address, are needed.", param="saml")
    return found


def _require_kind(kind: str, of: str, given: Mapping[str, Any] | None) -> None:
    """Raises `InvalidRequest` for what is of another kind of provider, and for one that lacks what is of its own."""
    if (kind == of) != (given is not None):
        raise InvalidRequest(f"What is of {of} belongs to a provider of that kind, and that one needs it.", param=of)


def _whose(kind: str) -> set[str]:
    """The columns that say by whom people are known."""
    return {"issuer"} if kind == IdentityProvider.Kind.LDAP else {"issuer", "client_id"}


def _is_known(provider: IdentityProvider) -> bool:
    return ExternalIdentity.objects.filter(provider=provider).exists()


def delete_provider(*, acting: Principal, provider_id: uuid.UUID) -> None:
    """Nobody logs in by it any more, and sessions that began by it act nowhere. Users and memberships stay.

    Raises `Forbidden`, `NotFound`, and `Conflict` for the last one of a tenant that asks for single sign-on.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        found = _locked(provider_id)
        found.enabled = False
        _require_a_door(get_tenant(tenant_id), found)
        name, target = found.name, found.pk
        found.delete()
        record(
            acting=acting,
            action="sso.delete_provider",
            target_type="identity_provider",
            target_id=target,
            tenant=tenant_id,
            detail={"name": name},
        )
        sockets.recheck_on_commit(members_of_tenant())


def _values(acting: Principal, tenant: Tenant, row: IdentityProvider, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are given."""
    values = {name: value for name, value in given.items() if name not in {"client_secret", "default_role"}}
    if "client_secret" in given:
        values["sealed_secret"] = sealed(given["client_secret"], row.place)
    if "default_role" in given:
        role = None if given["default_role"] is None else find_role(given["default_role"])
        if role is not None and role.pk != row.default_role_id:
            require_to_give(acting, tenant, role)
        values["default_role"] = role
    if "openid" not in values.get("scopes", SCOPES):
        raise InvalidRequest("The scope 'openid' is what makes it OpenID Connect.", param="scopes")
    return values


def _require_a_door(tenant: Tenant, changed: IdentityProvider) -> None:
    """Raises `Conflict` when nobody could log in to a tenant that asks for single sign-on."""
    others = IdentityProvider.objects.filter(enabled=True).exclude(pk=changed.pk)
    if tenant.sso_enforced and not changed.enabled and not others.exists():
        raise Conflict("The tenant asks for single sign-on, and this is its last identity provider that is enabled.")


def _locked(provider_id: uuid.UUID) -> IdentityProvider:
    found = IdentityProvider.objects.select_for_update(of=("self",)).filter(pk=provider_id).first()
    if found is None:
        raise NotFound("There is no such identity provider.")
    return found


def _check_whose(kind: str, given: Mapping[str, Any]) -> None:
    """What is given of issuer and client. Raises `InvalidRequest`."""
    if kind == IdentityProvider.Kind.OIDC:
        if "issuer" in given:
            _check_issuer(given["issuer"])
        return
    for name in {"issuer", "client_id"} & given.keys():
        try:
            check_dn(given[name])
        except ValueError as error:
            raise InvalidRequest(str(error), param=name) from error


def _check_issuer(issuer: str) -> None:
    try:
        parts = checked_url(issuer, settings.OUTBOUND_RULES)
    except OutboundRefused as error:
        raise InvalidRequest(str(error), param="issuer") from error
    if parts.query or parts.fragment:
        raise InvalidRequest("An issuer has neither a query nor a fragment.", param="issuer")


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("An identity provider's name has 1 to 100 characters.", param="name")
    return name.strip()


def _column(name: str) -> str:
    return "sealed_secret" if name == "client_secret" else name


def _told(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _HIDDEN if name == "client_secret" else value for name, value in given.items()}
