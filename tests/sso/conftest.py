"""A tenant with an identity provider that can be told to lie, and a browser that goes there and back."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.outbound.addresses import Rules
from ollamamax.sso.actions.provider import create_provider
from ollamamax.sso.models import EmailDomain, IdentityProvider
from tests.cast import Person
from tests.sso.provider import CLIENT, SECRET, FakeProvider, serve


@pytest.fixture(autouse=True)
def _this_machine_may_be_asked(settings: Settings) -> None:
    settings.OUTBOUND_RULES = Rules((ipaddress.ip_network("127.0.0.0/8"),), http=True)
    settings.PUBLIC_URL = "http://testserver"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    provider = FakeProvider(claims={"sub": "ada", "email": "ada@acme.example", "groups": ["staff"]})
    server = serve(provider)
    yield provider
    server.shutdown()
    server.server_close()


def own_domain(tenant: Tenant, domain: str) -> None:
    with tenant_scope(tenant):
        EmailDomain.objects.create(tenant=tenant, domain=domain, token="t", verified_at=timezone.now())


def set_up(owner: Person, fake: FakeProvider, **given: Any) -> IdentityProvider:
    values = {"name": "Login", "client_secret": SECRET, "default_role": "viewer"} | given
    return create_provider(acting=owner.acting, issuer=fake.issuer, client_id=CLIENT, **values)


@pytest.fixture
def provider(owner: Person, fake: FakeProvider) -> IdentityProvider:
    """Of the tenant `acme`, whose domain is acme.example."""
    own_domain(owner.tenant, "acme.example")
    return set_up(owner, fake)


@dataclass
class Browser:
    """One browser with its cookies, of somebody who logs in at the fake provider."""

    fake: FakeProvider
    client: APIClient

    def begin(self, provider: IdentityProvider, **query: str) -> dict[str, str]:
        """To the provider's page; returns what it was asked there."""
        answer = self.client.get(f"/auth/sso/{provider.pk}/begin", query)
        assert answer.status_code == 302, answer.content
        return self.asked(answer["Location"])

    def asked(self, location: str) -> dict[str, str]:
        assert location.startswith(f"{self.fake.issuer}/authorize?"), location
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.fake.nonce = asked["nonce"]
        return asked

    def back(self, provider: IdentityProvider, **query: str) -> str:
        """From the provider, with a code unless told otherwise; returns where that led to."""
        answer = self.client.get(f"/auth/oidc/{provider.pk}/callback", query)
        assert answer.status_code == 302, answer.content
        return answer["Location"]

    def log_in(self, provider: IdentityProvider, **query: str) -> str:
        asked = self.begin(provider, **query)
        return self.back(provider, state=asked["state"], code="a code")

    def session(self) -> Any:
        return self.client.get("/api/v1/session").json()

    def email(self) -> str | None:
        found = self.session()
        return str(found["user"]["email"]) if found["authenticated"] else None


def why(location: str) -> str:
    """The reason that a page of the console was given."""
    assert location.startswith("/log-in-problem?"), location
    return parse_qs(urlsplit(location).query)["why"][0]


@pytest.fixture
def at_fake(fake: FakeProvider, db: None) -> Browser:
    return Browser(fake, APIClient())
