"""Writes of applications."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import APPLICATIONS, require_room
from ollamamax.identity.keys import hash_secret
from ollamamax.identity.models import Role, SigningKey, Team
from ollamamax.identity.rights import require_in_tenant, require_unbounded
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.models import Application, ApplicationUsers
from ollamamax.oauth.queries.application import applications, get_application, lock_application
from ollamamax.oauth.redirects import checked_redirects

MOST_USERS = 100
_TAKEN = "There is an application of this name already."


def create_application(
    *,
    acting: Principal,
    name: str,
    redirect_uris: Sequence[str],
    log_out_uris: Sequence[str] = (),
    public: bool = False,
    id_token_signed_response_alg: str = SigningKey.Algorithm.RS256,
    for_everybody: bool = False,
    roles: Sequence[str] = (),
    teams: Sequence[str] = (),
) -> tuple[Application, str]:
    """Let people of the tenant log in to a front end. Returns its secret too, which is shown once; empty for a ``public`` one, which has none.

    ``roles`` and ``teams`` (slugs) say who may use it, where it is not ``for_everybody``.
    Raises `Forbidden`, `InvalidRequest`, and `Conflict` for a name that is there.
    """
    tenant = require_in_tenant(acting, "sso.manage")
    require_unbounded(acting)
    secret = "" if public else secrets.token_urlsafe(32)
    made = Application(
        tenant_id=tenant,
        name=_named(name),
        secret_hash="" if public else hash_secret(secret),
        redirect_uris=_redirects(redirect_uris, public),
        log_out_uris=_checked(log_out_uris, public, "log_out_uris"),
        for_everybody=for_everybody,
        id_token_signed_response_alg=id_token_signed_response_alg,
        created_by_name=acting.name[:254],
        secret_made_at=None if public else timezone.now(),
    )
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(APPLICATIONS, applications())
            made.save(force_insert=True)
            _replace_users(made, roles, teams)
            record(
                acting=acting,
                action="application.create",
                target_type="application",
                target_id=made.pk,
                tenant=tenant,
                detail={
                    "name": made.name,
                    "public": public,
                    "redirect_uris": made.redirect_uris,
                    "log_out_uris": made.log_out_uris,
                    "for_everybody": for_everybody,
                    "id_token_signed_response_alg": made.id_token_signed_response_alg,
                    "roles": list(roles),
                    "teams": list(teams),
                },
            )
            return get_application(made.pk), secret
    except IntegrityError as error:
        raise Conflict(_TAKEN, param="name") from error


def change_application(
    *,
    acting: Principal,
    application_id: uuid.UUID,
    roles: Sequence[str] | None = None,
    teams: Sequence[str] | None = None,
    **given: Any,
) -> Application:
    """What is not given stays: ``name``, ``redirect_uris``, ``log_out_uris``, ``for_everybody``, ``enabled``,
    ``id_token_signed_response_alg``. Roles and teams are replaced as a whole.

    Who may not use it any more gets no token from now on. Raises `Forbidden`, `InvalidRequest`, `NotFound` and `Conflict`.
    """
    tenant = require_in_tenant(acting, "sso.manage")
    require_unbounded(acting)
    if "name" in given:
        given["name"] = _named(given["name"])
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            found = lock_application(application_id)
            if "redirect_uris" in given:
                given["redirect_uris"] = _redirects(given["redirect_uris"], found.is_public)
            if "log_out_uris" in given:
                given["log_out_uris"] = _checked(given["log_out_uris"], found.is_public, "log_out_uris")
            before = _users_of(found)
            wanted = {
                "roles": before["roles"] if roles is None else sorted(set(roles)),
                "teams": before["teams"] if teams is None else sorted(set(teams)),
            }
            changed = take_over(found, given)
            if wanted != before:
                _replace_users(found, wanted["roles"], wanted["teams"])
                changed.update({name: each for name, each in wanted.items() if each != before[name]})
                changed.before.update({name: each for name, each in before.items() if each != wanted[name]})
            if not changed:
                return get_application(application_id)
            found.save()
            record(
                acting=acting,
                action="application.change",
                target_type="application",
                target_id=found.pk,
                tenant=tenant,
                detail=changed.detail() | {"of": found.name},
            )
            return get_application(application_id)
    except IntegrityError as error:
        raise Conflict(_TAKEN, param="name") from error


def rotate_application_secret(*, acting: Principal, application_id: uuid.UUID) -> tuple[Application, str]:
    """Another secret, which is returned once; the one before counts no more. Tokens that were given stay good.

    Raises `Forbidden`, `NotFound`, and `Conflict` for a public application, which has none.
    """
    tenant = require_in_tenant(acting, "sso.manage")
    require_unbounded(acting)
    secret = secrets.token_urlsafe(32)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = lock_application(application_id)
        if found.is_public:
            raise Conflict("This is a public application, which has no secret.")
        found.secret_hash, found.secret_made_at = hash_secret(secret), timezone.now()
        found.save(update_fields=["secret_hash", "secret_made_at", "changed_at"])
        record(
            acting=acting,
            action="application.rotate_secret",
            target_type="application",
            target_id=found.pk,
            tenant=tenant,
            detail={"name": found.name},
        )
        return get_application(application_id), secret


def delete_application(*, acting: Principal, application_id: uuid.UUID) -> None:
    """Its codes and tokens count no more. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = lock_application(application_id)
        record(
            acting=acting,
            action="application.delete",
            target_type="application",
            target_id=found.pk,
            tenant=tenant,
            detail={"name": found.name},
        )
        found.delete()


def _users_of(application: Application) -> dict[str, list[str]]:
    found = ApplicationUsers.objects.filter(application=application).select_related("role", "team")
    rows = list(found)
    return {
        "roles": sorted(each.role.slug for each in rows if each.role is not None),
        "teams": sorted(each.team.slug for each in rows if each.team is not None),
    }


def _replace_users(application: Application, roles: Sequence[str], teams: Sequence[str]) -> None:
    """Raises `InvalidRequest` for a slug that is none of the tenant's."""
    if len({*roles}) + len({*teams}) > MOST_USERS:
        raise InvalidRequest(f"At most {MOST_USERS} roles and teams are named.", param="teams")
    named_roles = {each.slug: each for each in Role.objects.filter(slug__in=roles)}
    named_teams = {each.slug: each for each in Team.objects.filter(slug__in=teams)}
    for param, wanted, there in (("roles", roles, named_roles.keys()), ("teams", teams, named_teams.keys())):
        missing = sorted(set(wanted) - there)
        if missing:
            raise InvalidRequest(f"There is none with the slug {missing[0]!r}.", param=param)
    ApplicationUsers.objects.filter(application=application).delete()
    ApplicationUsers.objects.bulk_create(
        [
            *(
                ApplicationUsers(tenant_id=application.tenant_id, application=application, role=each)
                for each in named_roles.values()
            ),
            *(
                ApplicationUsers(tenant_id=application.tenant_id, application=application, team=each)
                for each in named_teams.values()
            ),
        ]
    )


def _redirects(given: Sequence[str], public: bool) -> list[str]:
    if not given:
        raise InvalidRequest("An application has an address that codes are sent to.", param="redirect_uris")
    return _checked(given, public, "redirect_uris")


def _checked(given: Sequence[str], public: bool, param: str) -> list[str]:
    # Where people log in here without TLS, front ends may be without it too.
    http = urlsplit(settings.PUBLIC_URL).scheme == "http"
    return checked_redirects(given, public=public, http=http, param=param)


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("An application's name has 1 to 100 characters.", param="name")
    return name.strip()
