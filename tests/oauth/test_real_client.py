"""A client that is not ours logs in over HTTP: Authlib's, as Open WebUI registers it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from asgiref.sync import sync_to_async
from authlib.integrations.starlette_client import OAuth
from rest_framework.test import APIClient
from starlette.requests import Request

from tests.cast import PASSWORD, Person, logged_in

pytestmark = pytest.mark.django_db(transaction=True)
CALLBACK = "https://chat.acme.example/oauth/oidc/callback"


def came(session: dict[str, Any], query: str = "") -> Request:
    """A browser at the front end, with its session there."""
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "https",
            "path": "/oauth/oidc/callback",
            "query_string": query.encode(),
            "headers": [(b"host", b"chat.acme.example")],
            "session": session,
        }
    )


async def test_open_webuis_client_logs_in_refreshes_and_learns_that_it_is_over(
    owner: Person, member: Person, live_server: Any, settings: Any
) -> None:
    settings.PUBLIC_URL = live_server.url

    def registered() -> dict[str, Any]:
        body = {"name": "Open WebUI", "redirect_uris": [CALLBACK], "for_everybody": True}
        api: APIClient = logged_in(owner)
        return dict(api.post("/api/v1/applications", body, format="json").json())

    made = await sync_to_async(registered)()
    client = OAuth().register(
        name="oidc",
        client_id=made["id"],
        client_secret=made["client_secret"],
        server_metadata_url=f"{live_server.url}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile groups offline_access", "code_challenge_method": "S256"},
    )
    session: dict[str, Any] = {}
    leads = await client.authorize_redirect(came(session), CALLBACK)
    async with httpx.AsyncClient(base_url=live_server.url, timeout=60) as browser:
        to_log_in = await browser.get(leads.headers["location"])
        assert to_log_in.headers["location"].startswith("/login?")
        back = httpx.URL(to_log_in.headers["location"]).params["next"]
        await browser.get("/api/v1/session")
        entered = await browser.post(
            "/api/v1/session",
            json={"email": member.email, "password": PASSWORD},
            headers={"X-CSRFToken": browser.cookies["csrftoken"], "Referer": live_server.url},
        )
        assert entered.json()["authenticated"]
        let_in = await browser.get(back)
        assert let_in.headers["location"].startswith(f"{CALLBACK}?")
        # It checks state, issuer, audience, signature, nonce and times of what it gets.
        token = await client.authorize_access_token(came(session, urlsplit(let_in.headers["location"]).query))
        told = token["userinfo"]
        assert (told["email"], told["roles"], told["tenant"]) == (member.email, ["member"], "acme")
        assert told["exp"] > time.time()
        assert (await client.userinfo(token=token))["sub"] == str(member.user.pk)
        metadata = await client.load_server_metadata()
        async with client._get_oauth_client(**metadata) as own:
            fresh = await own.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
        assert fresh["refresh_token"] != token["refresh_token"]
        out = await browser.get(
            "/oauth/end-session", params={"id_token_hint": token["id_token"], "client_id": made["id"]}
        )
        assert out.headers["location"] == "/login"
        assert not (await browser.get("/api/v1/session")).json()["authenticated"]
        bearer = {"Authorization": f"Bearer {fresh['access_token']}"}
        assert (await browser.get(metadata["userinfo_endpoint"], headers=bearer)).status_code == 401
