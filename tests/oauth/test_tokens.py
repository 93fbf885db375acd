"""Access tokens by a client's secret: what they are good for, and that they end with their key."""

from __future__ import annotations

import asyncio
import base64
import datetime
import time
from typing import Any

import jwt
import pytest
import redis
from channels.db import database_sync_to_async
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import KEYS as KEYS_TABLE
from ollamamax.contract.tables import SIGNING_KEYS
from ollamamax.identity import access
from ollamamax.identity.access_tokens import is_access_token, read_access_token
from ollamamax.identity.actions.key import revoke_key
from ollamamax.identity.actions.signing_key import private_half, rotate_signing_keys
from ollamamax.identity.models import SigningKey
from ollamamax.identity.queries.signing_key import known_signing_keys
from ollamamax.kernel.errors import Forbidden, Unauthenticated
from tests.cast import Key, Person, make_key, secret_part, with_key
from tests.identity.test_directory import publish_directory
from tests.oauth.conftest import ask
from tests.patience import LONG

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/keys"
HERE = access.Where("/v1/models", "127.0.0.1")


@pytest.fixture(autouse=True)
def _addresses(settings: Any, valkey: redis.Redis) -> None:
    settings.PUBLIC_URL = "https://ai.acme.example"


def form(key: Key, **more: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": key.row.identifier,
        "client_secret": secret_part(key.text),
        **more,
    }


def token_of(key: Key, **more: str) -> str:
    answer = ask(form(key, **more))
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


def me(token: str) -> Any:
    return with_key(token).get("/api/v1/me")


def test_a_client_gets_a_token_by_its_secret_however_it_is_sent(owner_key: Key) -> None:
    identifier, secret = owner_key.row.identifier, secret_part(owner_key.text)
    basic = base64.b64encode(f"{identifier}:{secret}".encode()).decode()
    for answer in (
        ask(form(owner_key)),
        ask(form(owner_key, client_id=f"omx_{identifier}", client_secret=owner_key.text)),
        ask({"grant_type": "client_credentials"}, HTTP_AUTHORIZATION=f"Basic {basic}"),
    ):
        body = answer.json()
        assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 600)
        assert answer["Cache-Control"] == "no-store"
        assert me(body["access_token"]).json()["id"] == owner_key.row.id.hex
        said = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert (said["iss"], said["client_id"]) == ("https://ai.acme.example", f"omx_{identifier}")
        assert owner_key.row.secret_hash not in str(said)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "A" * 16}, 401, "invalid_client"),
        ({"client_id": "A" * 16, "client_secret": "the whole text"}, 401, "invalid_client"),
        ({"scope": "tenant.fly"}, 400, "invalid_scope"),
        ({"scope": "audit.view"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_standard(
    member: Person, change: dict[str, str], status: int, error: str
) -> None:
    key = make_key(member)
    if change.get("client_secret") == "the whole text":
        change = change | {"client_secret": key.text}
    answer = ask(form(key) | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "access_token" not in answer.json()


def test_a_scope_bounds_a_token_and_a_token_makes_no_keys(owner_key: Key) -> None:
    narrow = with_key(token_of(owner_key, scope="key.view"))
    assert narrow.get(KEYS).status_code == 200
    assert narrow.get("/api/v1/members").status_code == 403
    whole = with_key(token_of(owner_key))
    one = f"{KEYS}/{owner_key.row.id}"
    asked = (
        whole.post(KEYS, {"name": "kept"}, format="json"),
        whole.patch(one, {"name": "x"}, format="json"),
        whole.post(f"{one}/rotate", {}, format="json"),
    )
    assert [answer.status_code for answer in asked] == [403, 403, 403]


def test_a_token_ends_with_its_key_and_with_the_secret_that_got_it(owner_key: Key, owner_api: APIClient) -> None:
    token, one = token_of(owner_key), f"{KEYS}/{owner_key.row.id}"
    assert owner_api.post(f"{one}/rotate", {"overlap_seconds": 60}, format="json").status_code == 201
    assert me(token).status_code == 200
    rotated = owner_api.post(f"{one}/rotate", {"overlap_seconds": 0}, format="json").json()
    assert me(token).status_code == 401
    fresh = ask(form(owner_key, client_id=rotated["identifier"], client_secret=rotated["secret"])).json()
    assert me(fresh["access_token"]).status_code == 200
    owner_api.delete(one)
    assert me(fresh["access_token"]).status_code == 401


def test_a_token_lives_no_longer_than_its_key_and_goes_where_that_goes(owner_key: Key, owner_api: APIClient) -> None:
    end = (timezone.now() + datetime.timedelta(seconds=100)).isoformat()
    bound = {"expires_at": end, "reach": {"addresses": ["127.0.0.1"], "routes": ["/api/v1/me"]}}
    assert owner_api.patch(f"{KEYS}/{owner_key.row.id}", bound, format="json").status_code == 200
    answer = ask(form(owner_key)).json()
    assert 90 < answer["expires_in"] <= 100
    assert me(answer["access_token"]).status_code == 200
    assert with_key(answer["access_token"]).get(KEYS).status_code == 403
    elsewhere = ask(form(owner_key), REMOTE_ADDR="10.0.0.1")
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (401, "invalid_client")


@pytest.mark.django_db(transaction=True)
async def test_a_gateway_checks_tokens_by_what_is_published_and_refuses_them_with_their_key(
    valkey: redis.Redis, redis_url: str, owner: Person
) -> None:
    key = await database_sync_to_async(make_key)(owner)
    token = await database_sync_to_async(token_of)(key, scope="inference.use")
    await database_sync_to_async(publish_directory)()
    directory = Directory(redis_url, [KEYS_TABLE, SIGNING_KEYS])
    await directory.start()
    try:
        await asyncio.wait_for(directory.wait_loaded(), LONG)
        found = await access.identify(f"Bearer {token}", directory, "inference.use", where=HERE)
        assert found.principal.id == key.row.id.hex
        assert found.principal.permissions == {"inference.use"}
        assert access.check(f"Bearer {token}", directory) is not None
        with pytest.raises(Forbidden):
            await access.identify(f"Bearer {token}", directory, "key.view", where=HERE)
        await database_sync_to_async(revoke_key)(acting=owner.acting, key_id=key.row.id)
        with pytest.raises(Unauthenticated):
            await access.identify(f"Bearer {token}", directory, None, where=HERE)
    finally:
        await directory.stop()


def test_the_public_keys_are_shown_for_as_long_as_their_tokens_count(owner_key: Key, anonymous_api: APIClient) -> None:
    token = token_of(owner_key)
    shown = anonymous_api.get("/oauth/jwks").json()["keys"]
    found = next(each for each in shown if each["kid"] == jwt.get_unverified_header(token)["kid"])
    assert jwt.decode(token, jwt.PyJWK(found), audience="ollamamax")["sub"] == owner_key.row.identifier
    assert "d" not in found
    metadata = anonymous_api.get("/.well-known/oauth-authorization-server").json()
    assert metadata["jwks_uri"] == "https://ai.acme.example/oauth/jwks"
    # After a month another signs, and the one before is shown a day longer.
    SigningKey.objects.update(created_at=timezone.now() - datetime.timedelta(days=30, minutes=1))
    assert rotate_signing_keys()["ES256"].kid == rotate_signing_keys()["ES256"].kid != found["kid"]
    again = anonymous_api.get("/oauth/jwks").json()["keys"]
    assert sorted(each["alg"] for each in again) == ["ES256", "ES256", "RS256", "RS256"]
    # Gateways are told of those alone by which access tokens are signed.
    assert {each["kid"] for each in again if each["alg"] == "ES256"} == set(known_signing_keys())
    assert me(token).status_code == 200
    SigningKey.objects.filter(kid=found["kid"]).update(
        created_at=timezone.now() - datetime.timedelta(days=31, minutes=1)
    )
    rotate_signing_keys()
    assert me(token).status_code == 401


def test_a_token_that_was_changed_or_signed_otherwise_is_worth_nothing(owner_key: Key) -> None:
    token = token_of(owner_key)
    signing = SigningKey.objects.get(algorithm="ES256")
    said = jwt.decode(token, options={"verify_signature": False})
    private, header = private_half(signing), {"kid": signing.kid, "typ": "at+jwt"}

    def made(change: dict[str, Any], key: Any = private, algorithm: str = "ES256", **head: Any) -> str:
        claims = {name: value for name, value in (said | change).items() if value is not None}
        return jwt.encode(claims, key, algorithm, headers=header | head)

    assert me(made({})).status_code == 200
    forged = [
        made({}, "", "none"),
        made({}, signing.public.replace("PUBLIC KEY", "SECRET")[:60], "HS256"),
        made({}, typ="JWT"),
        made({}, kid="other"),
        made({"aud": "other"}),
        made({"exp": time.time() - 1}),
        made({"exp": None}),
        made({"key": "0" * 16}),
        made({"key": ""}),
        made({"sub": "A" * 16}),
        token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        token.rpartition(".")[0] + ".",
    ]
    assert [me(each).status_code for each in forged] == [401] * len(forged)


@given(st.text(max_size=60) | st.from_regex(r"ey[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}"))
def test_no_text_breaks_the_reading_of_a_token(text: str) -> None:
    assert read_access_token(text, lambda _: "no key") is None
    assert not is_access_token(f"omx_{text}")
