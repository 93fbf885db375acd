"""Workloads: what an issuer elsewhere says is checked in every part, and gives a token that ends with the trust."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.models import ApiKey
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.oauth.models import TokenFamily
from ollamamax.oauth.workload_claims import checked_rules, claim_of, why_not
from tests.cast import Person, with_key
from tests.oauth.conftest import ask, exchange
from tests.sso.provider import OTHER_KEY, FakeProvider, signed

WORKLOADS = "/api/v1/workloads"
NOW = 1_800_000_000.0


@pytest.mark.django_db
def test_a_token_of_the_issuer_gives_an_access_token_of_the_service_account(
    workload: dict[str, Any], fake: FakeProvider, owner_api: APIClient
) -> None:
    token = fake.id_token()
    answer = exchange(workload, token).json()
    assert answer["issued_token_type"].endswith(":access_token")
    assert 200 < answer["expires_in"] <= 300  # no longer than the issuer's
    assert with_key(answer["access_token"]).get("/api/v1/me").json()["id"] == uuid.UUID(workload["key"]).hex
    bearer = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": workload["id"]}
    assert ask({**bearer, "assertion": token}).status_code == 200
    assert owner_api.get(f"{WORKLOADS}/{workload['id']}").json()["used_at"] is not None
    # Its keys are asked for once.
    assert (fake.asked_at("/keys"), fake.asked_at("/.well-known/openid-configuration")) == (1, 1)
    assert owner_api.delete(f"{WORKLOADS}/{workload['id']}").status_code == 204
    assert with_key(answer["access_token"]).get("/api/v1/me").status_code == 401
    assert exchange(workload, token).json()["error"] == "invalid_client"


@pytest.mark.django_db
def test_nobody_is_given_a_secret_of_a_workload(workload: dict[str, Any], owner_api: APIClient) -> None:
    key = f"/api/v1/keys/{workload['key']}"
    assert owner_api.get(key).json()["has_secret"] is False
    answer = owner_api.post(f"{key}/rotate", {"overlap_seconds": 0}, format="json")
    assert (answer.status_code, "secret" in answer.json()) == (409, False)


@pytest.mark.django_db
def test_what_is_not_trusted_is_refused_without_a_word_why(workload: dict[str, Any], fake: FakeProvider) -> None:
    now = time.time()
    claims = jwt.decode(fake.id_token(), options={"verify_signature": False})
    wrong: list[str] = [
        *(
            fake.id_token(**change)
            for change in (
                {"sub": "repo:acme2/app"},
                {"sub": None},
                {"ci": {"env": "staging"}},
                {"ci": "production"},
                {"aud": "other"},
                {"aud": None},
                {"iss": "https://other.example"},
                {"exp": now - 120},
                {"exp": None},
                {"exp": now + 200_000},
                {"nbf": now + 300},
            )
        ),
        signed(claims, OTHER_KEY),
        signed(claims, kid="another"),
        jwt.encode(claims, "", "none", headers={"kid": "one"}),
        jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "one"}),
        "",
        "ey.ey.ey",
    ]
    answers = [exchange(workload, token) for token in wrong]
    assert [(each.status_code, each.json()) for each in answers] == [
        (400, {"error": "invalid_grant", "error_description": "The workload's token is not what is trusted."})
    ] * len(wrong)
    # A key that is not known is looked for, and not again for the next that names one.
    assert fake.asked_at("/keys") <= 2


@pytest.mark.django_db
def test_an_unknown_workload_has_no_issuer_asked(workload: dict[str, Any], fake: FakeProvider) -> None:
    for name in ("", "x", str(uuid.uuid4())):
        assert exchange({"id": name}, fake.id_token()).json()["error"] == "invalid_client"
    assert fake.asked == []
    assert exchange(workload, fake.id_token(), subject_token_type="x").json()["error"] == "invalid_request"
    assert exchange(workload, fake.id_token(), actor_token="x").json()["error"] == "invalid_request"


@pytest.mark.django_db
def test_a_workload_of_a_suspended_account_gets_nothing(
    workload: dict[str, Any], fake: FakeProvider, program: uuid.UUID, owner_api: APIClient
) -> None:
    held = exchange(workload, fake.id_token()).json()["access_token"]
    suspended = owner_api.patch(f"/api/v1/service-accounts/{program}", {"state": "suspended"}, format="json")
    assert suspended.status_code == 200
    assert exchange(workload, fake.id_token()).json()["error"] == "invalid_client"
    assert with_key(held).get("/api/v1/me").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"issuer": "https://10.0.0.1"}, "issuer"),
        ({"issuer": "nowhere"}, "issuer"),
        ({"rules": []}, "rules"),
        ({"rules": [{"claim": "sub", "pattern": "**"}]}, "rules"),
        ({"audience": ""}, "audience"),
        ({"service_account": str(uuid.uuid4())}, None),
    ],
)
def test_a_workload_that_could_not_be_trusted_is_not_made(
    owner_api: APIClient, program: uuid.UUID, fake: FakeProvider, change: dict[str, Any], field: str | None
) -> None:
    body = {
        "name": "x",
        "service_account": str(program),
        "issuer": fake.issuer,
        "audience": "a",
        "rules": [{"claim": "sub", "pattern": "x"}],
    }
    answer = owner_api.post(WORKLOADS, body | change, format="json")
    assert answer.status_code == (404 if field is None else 400)
    if field is not None:
        assert field in str(answer.json())
    with every_tenant():
        assert not ApiKey.objects.filter(name="x", revoked_at=None).exists()


@pytest.mark.django_db
def test_strangers_and_viewers_see_and_change_no_workload(
    workload: dict[str, Any], stranger_api: APIClient, viewer_api: APIClient, anonymous_api: APIClient
) -> None:
    one = f"{WORKLOADS}/{workload['id']}"
    assert stranger_api.get(WORKLOADS).json()["results"] == []
    assert [api.get(one).status_code for api in (stranger_api, viewer_api, anonymous_api)] == [404, 200, 401]
    assert [api.delete(one).status_code for api in (stranger_api, viewer_api, anonymous_api)] == [404, 403, 401]


words = st.text("ab*", max_size=12)


@given(words, words)
def test_a_pattern_holds_as_a_shell_would_say(text: str, pattern: str) -> None:
    from fnmatch import fnmatchcase

    claims = {"iss": "i", "aud": ["x", "a"], "exp": NOW + 60, "c": text}
    against = why_not(claims, issuer="i", audience="a", rules=[("c", pattern)], now=NOW)
    assert (against is None) is fnmatchcase(text, pattern)


def test_a_claim_is_found_by_its_name_or_its_way() -> None:
    claims = {"a/b": 1, "kubernetes.io": {"namespace": "x", "pod/y": {"z": 2}}, "list": ["p", "q"], "yes": True}
    assert claim_of(claims, "a/b") == 1
    assert claim_of(claims, "kubernetes.io/namespace") == "x"
    assert claim_of(claims, "kubernetes.io/pod/y/z") == 2
    assert claim_of(claims, "list/0") is None
    held = {"iss": "i", "aud": "a", "exp": NOW + 60, **claims}
    for rule, holds in {("list", "q"): True, ("list", "r"): False, ("yes", "true"): True, ("a/b", "1"): True}.items():
        assert (why_not(held, issuer="i", audience="a", rules=[rule], now=NOW) is None) is holds


@pytest.mark.parametrize("rules", [[], [("sub", "*")], [("", "x")], [("sub", "")], [("sub", "x")] * 21])
def test_rules_that_say_nothing_are_refused(rules: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        checked_rules(rules)


def refresh(workload: dict[str, Any], token: str, **more: str) -> Any:
    return ask({"grant_type": "refresh_token", "client_id": workload["id"], "refresh_token": token, **more})


@pytest.fixture
def lasting(owner_api: APIClient, workload: dict[str, Any], program: uuid.UUID) -> dict[str, Any]:
    """One that goes on for an hour without its issuer's word."""
    body = {
        "name": "lasting",
        "service_account": str(program),
        "issuer": workload["issuer"],
        "audience": workload["audience"],
        "rules": workload["rules"],
        "permissions": ["key.view", "model.view"],
        "refresh_seconds": 3600,
    }
    made = owner_api.post(WORKLOADS, body, format="json")
    assert made.status_code == 201, made.content
    found: dict[str, Any] = made.json()
    return found


@pytest.mark.django_db
def test_a_workload_goes_on_by_refresh_tokens_that_count_once(
    lasting: dict[str, Any], workload: dict[str, Any], fake: FakeProvider, owner: Person
) -> None:
    assert "refresh_token" not in exchange(workload, fake.id_token()).json()
    first = exchange(lasting, fake.id_token(), scope="key.view model.view").json()
    assert refresh(workload, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(lasting, first["refresh_token"], scope="member.view").json()["error"] == "invalid_scope"
    narrow = refresh(lasting, first["refresh_token"], scope="model.view").json()
    assert narrow["scope"] == "model.view"
    second = refresh(lasting, narrow["refresh_token"]).json()
    assert (second["scope"], second["expires_in"]) == ("key.view model.view", 600)
    assert with_key(second["access_token"]).get("/api/v1/me").status_code == 200
    # Somebody has a copy of the first one: nobody goes on.
    assert refresh(lasting, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(lasting, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert AuditRecord.objects.get(action="workload.revoke_tokens").chain == owner.tenant.pk.hex


@pytest.mark.django_db
def test_refresh_tokens_of_a_workload_end_with_its_key_and_its_hour(
    lasting: dict[str, Any], fake: FakeProvider, owner: Person, owner_api: APIClient
) -> None:
    token = exchange(lasting, fake.id_token()).json()["refresh_token"]
    with tenant_scope(owner.tenant):
        TokenFamily.objects.update(expires_at=timezone.now())
    assert refresh(lasting, token).json()["error"] == "invalid_grant"
    token = exchange(lasting, fake.id_token()).json()["refresh_token"]
    owner_api.delete(f"/api/v1/keys/{lasting['key']}")
    assert refresh(lasting, token).json()["error"] == "invalid_client"
