"""Logging in at real OpenID providers: npm's oidc-provider, which is certified, and oidc-provider-mock from PyPI."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin

import httpx
import oidc_provider_mock
import pytest
from rest_framework.test import APIClient

from ollamamax.sso.actions.provider import change_provider, create_provider
from tests.cast import Person
from tests.clients.test_javascript import FOLDER, NODE
from tests.sso.conftest import Browser, own_domain
from tests.sso.provider import CLIENT, SECRET, FakeProvider

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / "oidc-provider").is_dir() and "CI" not in os.environ,
        reason="npm's oidc-provider is not installed: `make test` does it, or `npm ci` in tests/clients/js",
    ),
]


@contextlib.contextmanager
def certified(redirect: str, back_channel: str) -> Iterator[str]:
    """The issuer of npm's oidc-provider, which knows one client."""
    assert NODE is not None
    command = [NODE, "oidc-provider.mjs", redirect, back_channel, "http://testserver/login"]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def led_back(location: str, name: str) -> str:
    """Through the provider's own pages, each of which has one form, to the callback."""
    with httpx.Client(follow_redirects=False, timeout=20) as person:
        answer = person.get(location)
        for _ in range(20):
            if answer.is_redirect:
                location = urljoin(str(answer.request.url), answer.headers["Location"])
                if location.startswith("http://testserver/"):
                    return location.removeprefix("http://testserver")
                answer = person.get(location)
                continue
            page = answer.text
            action = re.search(r'<form[^>]*action="([^"]+)"', page)
            address = urljoin(str(answer.request.url), unescape(action[1])) if action else str(answer.request.url)
            form = {
                unescape(key): unescape(value) for key, value in re.findall(r'name="([^"]+)" value="([^"]*)"', page)
            }
            answer = person.post(
                address, data=form | {"login": name, "password": "any", "sub": name, "action": "authorize"}
            )
        raise AssertionError(answer.text[:2000])


def test_the_certified_provider_logs_somebody_in_and_out(owner: Person) -> None:
    own_domain(owner.tenant, "acme.example")
    row = create_provider(
        acting=owner.acting,
        name="Certified",
        issuer="http://127.0.0.1:1",
        client_id=CLIENT,
        client_secret=SECRET,
        default_role="viewer",
    )
    callback = f"http://testserver/auth/oidc/{row.pk}/callback"
    with certified(callback, f"http://127.0.0.1:1/auth/oidc/{row.pk}/back-channel") as issuer:
        change_provider(acting=owner.acting, provider_id=row.pk, issuer=issuer)
        browser = Browser(FakeProvider(issuer), APIClient())
        begun = browser.client.get(f"/auth/sso/{row.pk}/begin?next=/keys")
        back = browser.client.get(led_back(begun["Location"], "ada"))
        assert back["Location"] == "/keys"
        assert browser.email() == "ada@acme.example"
        url = browser.client.post("/api/v1/sso/log-out").json()["url"]
        assert url.startswith(f"{issuer}/session/end?")
        assert httpx.get(url).status_code == 200


def test_the_mock_provider_logs_somebody_in(owner: Person) -> None:
    own_domain(owner.tenant, "acme.example")
    user = oidc_provider_mock.User(sub="bob", claims={"email": "bob@acme.example", "name": "Bob"})
    with oidc_provider_mock.run_server_in_thread(user_claims=[user]) as server:
        issuer = f"http://localhost:{server.server_port}"
        row = create_provider(
            acting=owner.acting,
            name="Mock",
            issuer=issuer,
            client_id=CLIENT,
            client_secret=SECRET,
            default_role="viewer",
        )
        browser = Browser(FakeProvider(issuer), APIClient())
        begun = browser.client.get(f"/auth/sso/{row.pk}/begin")
        assert browser.client.get(led_back(begun["Location"], "bob"))["Location"] == "/"
        assert browser.email() == "bob@acme.example"
