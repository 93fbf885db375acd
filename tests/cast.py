"""Who plays in the tests. Fixtures for them are in `tests.conftest`."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from rest_framework.test import APIClient

from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.tenant import create_tenant, make_operator
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.keys import parse_key
from ollamamax.identity.models import ApiKey, Tenant, User
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.sessions import LogIn, remember
from ollamamax.kernel.principal import Principal, system

PASSWORD = "correct-horse-battery"
SYSTEM = system("tests")


@dataclass(frozen=True)
class Person:
    """A user with a role in one tenant; ``acting`` is them as the actions see them."""

    user: User
    tenant: Tenant
    acting: Principal

    @property
    def email(self) -> str:
        return self.user.email


@dataclass(frozen=True)
class Key:
    """``text`` is what a program sends; ``acting`` is the key as the actions see it."""

    row: ApiKey
    text: str
    acting: Principal


def make_tenant(slug: str) -> Tenant:
    """One whose hosts may become nodes, as those of the operator's may."""
    tenant = create_tenant(acting=SYSTEM, slug=slug, name=slug.title())
    tenant.may_join_nodes = True
    tenant.save(update_fields=["may_join_nodes"])
    return tenant


def make_operators_tenant(slug: str) -> Tenant:
    """A tenant that runs the installation; of these there is one."""
    return make_operator(acting=SYSTEM, tenant_id=make_tenant(slug).id)


def make_person(tenant: Tenant, name: str, role: str) -> Person:
    user = create_user(acting=SYSTEM, email=f"{name}@{tenant.slug}.example", password=PASSWORD)
    add_member(acting=SYSTEM, tenant=tenant, user=user, role=role)
    return Person(user, tenant, principal_of(user, tenants_of(user)[0], "test-request"))


def make_key(person: Person, **given: Any) -> Key:
    """With all of the person's permissions, unless told otherwise."""
    row, text = issue_key(
        acting=person.acting,
        **{"name": f"key {secrets.token_hex(4)}", "permissions": person.acting.permissions} | given,
    )
    acting = Principal("key", row.id.hex, person.tenant.id.hex, row.name, frozenset(row.permissions), "test-request")
    return Key(row, text, acting)


def secret_part(text: str) -> str:
    """Of a key's text: what only its owner has. It may hold what stands between the parts, too."""
    parsed = parse_key(text)
    assert parsed is not None, "this is no key"
    return parsed[1]


def logged_in(person: Person) -> APIClient:
    client = APIClient()
    client.force_login(person.user, backend="django.contrib.auth.backends.ModelBackend")
    session: Any = client.session
    remember(session, LogIn("password", "", time.time()))
    session.save()
    return client


def with_key(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client
