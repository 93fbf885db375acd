"""Logging out here and at the provider, and the provider's word that a session is over."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ollamamax.audit.models import AuditRecord
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.tokens import LOG_OUT_EVENT
from tests.sso.conftest import Browser
from tests.sso.provider import CLIENT, OTHER_KEY, FakeProvider, signed

pytestmark = pytest.mark.django_db


def token_of(fake: FakeProvider, **changed: Any) -> str:
    claims = {"iss": fake.issuer, "aud": CLIENT, "iat": time.time(), "jti": "one", "events": {LOG_OUT_EVENT: {}}}
    return signed({name: value for name, value in (claims | changed).items() if value is not None})


def tell(browser: Browser, provider: IdentityProvider, token: str) -> int:
    return int(
        browser.client.post(
            f"/auth/oidc/{provider.pk}/back-channel", {"logout_token": token}, format="multipart"
        ).status_code
    )


@pytest.fixture
def two(provider: IdentityProvider, fake: FakeProvider) -> tuple[Browser, Browser]:
    """Two sessions of one person."""
    from rest_framework.test import APIClient

    browsers = Browser(fake, APIClient()), Browser(fake, APIClient())
    for sid, browser in zip(("s-1", "s-2"), browsers, strict=True):
        fake.claims["sid"] = sid
        browser.log_in(provider)
        assert browser.email() == "ada@acme.example"
    return browsers


def test_a_log_out_token_ends_the_session_that_it_names(
    provider: IdentityProvider, fake: FakeProvider, two: tuple[Browser, Browser]
) -> None:
    one, other = two
    assert tell(one, provider, token_of(fake, sid="s-1")) == 200
    assert (one.email(), other.email()) == (None, "ada@acme.example")
    record = AuditRecord.objects.get(action="session.end_by_provider")
    assert record.detail["sessions"] == 1
    # It counts once: later sessions are not ended by it again.
    assert tell(one, provider, token_of(fake, sid="s-2")) == 400
    assert tell(one, provider, token_of(fake, sub="ada", jti="two")) == 200
    assert other.email() is None


def test_what_is_no_log_out_token_of_the_provider_ends_nothing(
    provider: IdentityProvider, fake: FakeProvider, two: tuple[Browser, Browser]
) -> None:
    one, other = two
    fake.nonce = "n"
    for bad in (
        "",
        "junk",
        fake.id_token(),
        token_of(fake, sub="ada", iss="https://evil.example"),
        token_of(fake, sub="ada", aud="other"),
        token_of(fake, sub="ada", nonce="n"),
        token_of(fake, sub="ada", iat=time.time() - 5000),
        signed({"iss": fake.issuer}, OTHER_KEY),
        signed({"iss": fake.issuer}, OTHER_KEY, "unknown"),
    ):
        assert tell(one, provider, bad) == 400
    assert one.email() == other.email() == "ada@acme.example"
    # Nor do those who send it decide how often keys are fetched.
    assert fake.asked_at("/keys") == 1


def test_a_log_out_token_that_names_nobody_here_ends_nothing(
    provider: IdentityProvider, fake: FakeProvider, two: tuple[Browser, Browser]
) -> None:
    assert tell(two[0], provider, token_of(fake, sub="bob")) == 200
    assert tell(two[0], provider, token_of(fake, sub="bob", sid="s-1", jti="two")) == 200
    assert two[0].email() == two[1].email() == "ada@acme.example"


def test_logging_out_leads_on_to_the_provider(
    provider: IdentityProvider, fake: FakeProvider, two: tuple[Browser, Browser]
) -> None:
    one, other = two
    url = one.client.post("/api/v1/sso/log-out").json()["url"]
    query = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{fake.issuer}/end?")
    assert query["client_id"] == [CLIENT]
    assert query["post_logout_redirect_uri"] == ["http://testserver/login"]
    assert query["id_token_hint"][0].count(".") == 2
    assert (one.email(), other.email()) == (None, "ada@acme.example")
    assert one.client.post("/api/v1/sso/log-out").json() == {"url": ""}
