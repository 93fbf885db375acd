"""Writes of identity providers, and of the rules that say which roles their people get."""

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
from ollamamax.identity.models import Role, Tenant
from ollamamax.identity.queries.member import members_of_tenant
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import require_in_tenant, require_over_owners, require_to_grant
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.outbound.addresses import OutboundRefused, checked_url
from ollamamax.sso import discovery
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import ExternalIdentity, IdentityProvider, RoleRule
from ollamamax.sso.sealed import sealed

MOST_RULES = 200
SCOPES = ("openid", "email", "profile")
_HIDDEN = "changed"
"""What the audit trail is told of a secret."""


def create_provider(
    *, acting: Principal, name: str, issuer: str, client_id: str, rules: Sequence[Rule] = (), **given: Any
) -> IdentityProvider:
    """A way for people of the tenant to log in. ``given`` as `change_provider` takes it.

    Raises `Forbidden` for a role that ``acting`` may not give, `InvalidRequest`, and `Conflict` for a name or client that is there.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    _check_issuer(issuer)
    tenant = get_tenant(tenant_id)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            require_room(IDENTITY_PROVIDERS, IdentityProvider.objects.all())
            made = IdentityProvider(
                tenant_id=tenant_id, name=_named(name), issuer=issuer, client_id=client_id, scopes=list(SCOPES)
            )
            take_over(made, _values(acting, tenant, made, given))
            made.save(force_insert=True)
            _replace_rules(acting, tenant, made, rules)
            record(
                acting=acting,
                action="sso.create_provider",
                target_type="identity_provider",
                target_id=made.pk,
                tenant=tenant_id,
                detail={"name": made.name, "issuer": issuer, "client_id": client_id, "rules": len(rules)}
                | _told(given),
            )
    except IntegrityError as error:
        raise Conflict(
            "There is an identity provider of this name, or with this issuer and client, already."
        ) from error
    return made


def change_provider(
    *, acting: Principal, provider_id: uuid.UUID, rules: Sequence[Rule] | None = None, **given: Any
) -> IdentityProvider:
    """What is not given stays: ``name``, ``issuer``, ``client_id``, ``client_secret``, ``scopes``, ``email_claim``, ``name_claim``,
    ``default_role`` (a slug, or ``None``), ``creates_users``, ``enabled``. Rules are replaced as a whole.

    ``issuer`` and ``client_id`` stay for good once somebody is known by them: at another issuer the same subject is another person.
    Raises `Forbidden`, `InvalidRequest`, `NotFound` and `Conflict`.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    if "issuer" in given:
        _check_issuer(given["issuer"])
    if "name" in given:
        given["name"] = _named(given["name"])
    tenant = get_tenant(tenant_id)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            found = _locked(provider_id)
            before = found.issuer
            changed = take_over(found, _values(acting, tenant, found, given))
            if {"issuer", "client_id"} & changed.keys() and ExternalIdentity.objects.filter(provider=found).exists():
                raise Conflict("People are known by this issuer and client already: make another identity provider.")
            ruled = rules is not None and _replace_rules(acting, tenant, found, rules)
            if not changed and not ruled:
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
                | ({"rules": [f"{each.claim}: {each.pattern} → {each.role}" for each in rules or ()]} if ruled else {}),
            )
            if "enabled" in changed:
                sockets.recheck_on_commit(members_of_tenant())
    except IntegrityError as error:
        raise Conflict(
            "There is an identity provider of this name, or with this issuer and client, already."
        ) from error
    discovery.forget(before)
    return found


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


def _require_to_give(acting: Principal, tenant: Tenant, role: Role) -> None:
    """Nobody has others given what they may not give. Raises `Forbidden`."""
    if role.is_owners:
        require_over_owners(acting)
    require_to_grant(acting, counted(role.permissions, in_operator=tenant.is_operator))


def _values(acting: Principal, tenant: Tenant, row: IdentityProvider, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are given."""
    values = {name: value for name, value in given.items() if name not in {"client_secret", "default_role"}}
    if "client_secret" in given:
        values["sealed_secret"] = sealed(given["client_secret"], row.place)
    if "default_role" in given:
        role = None if given["default_role"] is None else find_role(given["default_role"])
        if role is not None and role.pk != row.default_role_id:
            _require_to_give(acting, tenant, role)
        values["default_role"] = role
    if "openid" not in values.get("scopes", SCOPES):
        raise InvalidRequest("The scope 'openid' is what makes it OpenID Connect.", param="scopes")
    return values


def _replace_rules(acting: Principal, tenant: Tenant, provider: IdentityProvider, rules: Sequence[Rule]) -> bool:
    """Whether they are others than before."""
    before = [Rule(each.claim, each.pattern, each.role.slug) for each in provider.rules.select_related("role")]
    if before == list(rules):
        return False
    if len(rules) > MOST_RULES:
        raise InvalidRequest(f"A provider has {MOST_RULES} rules at most.", param="rules")
    roles = {slug: find_role(slug) for slug in {each.role for each in rules}}
    for slug in roles.keys() - {each.role for each in before}:
        _require_to_give(acting, tenant, roles[slug])
    provider.rules.all().delete()
    RoleRule.objects.bulk_create(
        RoleRule(
            tenant=tenant,
            provider=provider,
            position=place,
            claim=each.claim,
            pattern=each.pattern,
            role=roles[each.role],
        )
        for place, each in enumerate(rules)
    )
    return True


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
