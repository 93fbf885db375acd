"""Dangerous acts are open to who showed a moment ago that it is they; the list names routes that there are."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from ollamamax.identity import sessions
from ollamamax.identity.api.recent import DANGEROUS
from ollamamax.identity.sessions import RECENT_SECONDS, LogIn
from tests.architecture.test_routes import API
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db
ID = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"


def long_ago(client: APIClient, method: Any = "password", provider: str = "") -> None:
    session: Any = client.session
    sessions.remember(session, LogIn(method, provider, time.time() - RECENT_SECONDS - 1))
    session.save()


def address(route: str) -> str:
    head, *parts = route.split("<uuid:")
    return "/" + head + "".join(ID + part.partition(">")[2] for part in parts)


def test_each_listed_act_is_a_route_with_that_method() -> None:
    there = {(method, route) for route, view in API for method in view.permissions}
    assert DANGEROUS.keys() - there == set()


SECRET_FIELDS = {"text", "secret", "token", "link", "codes", "signing_secret"}
SHOWN_TO_ALL = {
    "session": "the answer to a log-in, which is the proof",
    "nodes/join": "a node's key, for who has a join token, and no session",
    "verify": "what stands in the domain's DNS, which all the world reads",
    "playground": "a key of the page, which lives as long as the session and cannot manage anything",
    "bundles/upload-token": "likewise, for ten minutes, and it reaches one repository alone",
    "incidents/": "a sentence about what is broken",
}


def test_each_act_whose_answer_shows_a_secret_is_listed() -> None:
    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    parts = schema["components"]["schemas"]
    showing = set()
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            bodies = [each.get("content", {}).get("application/json", {}) for each in about["responses"].values()]
            named = {body.get("schema", {}).get("$ref", "").rpartition("/")[2] for body in bodies} - {""}
            fields = {field for name in named for field in parts[name].get("properties", {})}
            if method != "get" and fields & SECRET_FIELDS:
                showing.add((method.upper(), path.removeprefix("/")))
    listed = {(method, re.sub(r"<\w+:(\w+)>", r"{\1}", route)) for method, route in DANGEROUS}
    unlisted = {(m, p) for m, p in showing - listed if not any(f"/{name}" in p for name in SHOWN_TO_ALL)}
    assert unlisted == set()
    assert len(showing & listed) > 5


@pytest.mark.parametrize(("method", "route"), DANGEROUS, ids=str)
def test_a_dangerous_act_wants_a_session_that_was_confirmed_lately(
    method: str, route: str, operator_api: APIClient
) -> None:
    long_ago(operator_api)
    answer = operator_api.generic(method, address(route), "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_needed")
    assert (answer.json()["ways"], answer.json()["provider"]) == (["password"], None)


def test_confirming_opens_the_act_for_a_while(owner_api: APIClient) -> None:
    long_ago(owner_api)
    body = {"name": "ci"}
    assert owner_api.post("/api/v1/keys", body, format="json").status_code == 403
    assert owner_api.get("/api/v1/session/confirm").json() == {"ways": ["password"], "provider": None}
    assert owner_api.post("/api/v1/session/confirm", {"password": PASSWORD}, format="json").status_code == 204
    assert owner_api.post("/api/v1/keys", body, format="json").status_code == 201


def test_bulk_changes_are_asked_as_each_of_them_alone(owner_api: APIClient) -> None:
    long_ago(owner_api)
    for noun, status in (("members", 403), ("aliases", 200)):
        body = {"items": [{"id": ID, "method": "DELETE"}]}
        assert owner_api.post(f"/api/v1/{noun}/bulk", body, format="json").status_code == status


def test_a_provider_can_vouch_again_where_its_word_is_enough(owner_api: APIClient) -> None:
    long_ago(owner_api, "oidc", ID.replace("-", ""))
    session: Any = owner_api.session
    assert not sessions.is_confirmed(session, own=False, by_factor=False)
    sessions.remember(session, LogIn("oidc", ID.replace("-", ""), time.time()))
    assert sessions.is_confirmed(session, own=False, by_factor=True)
    assert not sessions.is_confirmed(session, own=True, by_factor=False)


def test_a_key_is_not_asked(key_api: APIClient) -> None:
    assert key_api.get("/api/v1/audit/export").status_code == 200


@pytest.mark.parametrize(
    ("log_in", "own", "by_factor", "expected"),
    [
        (LogIn("password", "", 0), True, False, True),
        (LogIn("password", "", 0), True, True, False),
        (LogIn("password", "", 0, "totp"), True, True, True),
        (LogIn("passkey", "", 0), True, True, True),
        (LogIn("oidc", "p", 0), False, True, True),
        (LogIn("oidc", "p", 0), True, False, False),
        (LogIn("password", "", -RECENT_SECONDS - 1), False, False, False),
        (LogIn("password", "", 1), False, False, False),
    ],
)
def test_what_a_log_in_is_worth(log_in: LogIn, own: bool, by_factor: bool, expected: bool) -> None:
    held: dict[str, Any] = {}
    sessions.remember(held, log_in)
    assert sessions.is_confirmed(held, own=own, by_factor=by_factor, now=0.0) is expected
