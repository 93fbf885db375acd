"""Errors of the management API, whatever goes wrong: RFC 9457 problem details with a request id."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.http import Http404
from django.test import AsyncClient, Client
from rest_framework import exceptions
from rest_framework.test import APIClient

from ollamamax.identity.api import problems
from ollamamax.identity.api.me import MeView
from ollamamax.identity.models import Membership, Tenant
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel import errors
from tests.cast import Key, Person


def answer(error: Exception) -> tuple[int, str, str]:
    response = problems.handle(error, {})
    assert response is not None
    assert response.content_type == "application/problem+json"
    assert set(response.data) >= {"type", "title", "status", "detail", "code"}
    assert response.data["status"] == response.status_code
    return response.status_code, response.data["code"], response.data["detail"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequest("x", param="y"), 400, "invalid_request"),
        (errors.Conflict("x"), 409, "conflict"),
        (errors.Overloaded("x", retry_after=1.2), 429, "overloaded"),
        (errors.OllamaMaxError("x"), 500, "internal_error"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "forbidden"),
        (ValidationError("x"), 400, "invalid_request"),
        (ValidationError({"a": ["x"]}), 400, "invalid_request"),
        (SuspiciousOperation(), 400, "invalid_request"),
        (OperationalError(), 503, "unavailable"),
        (redis.ConnectionError(), 503, "unavailable"),
        (exceptions.ParseError(), 400, "invalid_request"),
        (exceptions.NotAuthenticated(), 401, "unauthenticated"),
        (exceptions.PermissionDenied(), 403, "forbidden"),
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("x"), 415, "unsupported_media_type"),
        (exceptions.Throttled(), 429, "overloaded"),
        (exceptions.ValidationError({"a": [{"b": ["bad"]}]}), 400, "invalid_request"),
        (exceptions.ValidationError([]), 400, "invalid_request"),
    ],
)
def test_each_kind_of_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    assert answer(error)[:2] == (status, code)


def test_fields_of_an_error_are_members_and_never_replace_the_standard_ones() -> None:
    response = problems.handle(errors.InvalidRequest("x", param="p", title="no", code="no"), {})
    assert response is not None
    assert response.data["param"] == "p"
    assert response.data["title"] == "Bad Request"
    assert response.data["code"] == "invalid_request"


def test_waiting_is_told_in_whole_seconds() -> None:
    response = problems.handle(errors.Overloaded("x", retry_after=1.2), {})
    assert response is not None
    assert response.headers["Retry-After"] == "2"


@pytest.mark.django_db
def test_a_constraint_says_its_own_sentence(owner: Person) -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Tenant.objects.create(slug="acme", name="x")
    assert answer(caught.value) == (409, "conflict", "There is a tenant with this slug already.")
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Tenant.objects.create(slug="Not A Slug", name="x")
    assert answer(caught.value)[:2] == (400, "invalid_request")
    with tenant_scope(owner.tenant):
        role = find_role("viewer")
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Membership.objects.create(tenant=owner.tenant, user=owner.user, role=role)
    assert answer(caught.value)[0] == 409
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Membership.objects.create(tenant=owner.tenant, user=owner.user, role=role, state="dead")
    assert answer(caught.value)[1] == "invalid_request"


@pytest.mark.django_db
def test_what_nobody_has_words_for_is_our_own_fault() -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO identity_tenant (id) VALUES (gen_random_uuid())")
    assert problems.handle(caught.value, {}) is None
    assert problems.handle(KeyError("x"), {}) is None


def test_an_unknown_address_is_a_page_for_browsers_alone(client: Client) -> None:
    for path in ("/api/v1/nothing", "/api/v1/", "/api/v1/me/", "/api/v1/keys/not-a-uuid"):
        found = client.get(path)
        assert (found.status_code, found["Content-Type"]) == (404, "application/problem+json"), path
        assert found.json()["code"] == "not_found"
    assert client.get("/nothing", headers={"accept": "text/html"})["Content-Type"].startswith("text/html")
    assert client.post("/nothing")["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_a_broken_view_is_a_problem_without_details(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, request: Any) -> None:
        raise KeyError("secret inside")

    monkeypatch.setattr(MeView, "get", broken)
    client = Client(raise_request_exception=False)
    client.force_login(owner.user, backend="django.contrib.auth.backends.ModelBackend")
    found = client.get("/api/v1/me")
    assert (found.status_code, found["Content-Type"]) == (500, "application/problem+json")
    assert b"secret" not in found.content
    assert found["X-Request-Id"]


def test_a_host_that_is_not_ours_is_refused_as_a_problem(client: Client) -> None:
    found = client.get("/api/v1/me", headers={"host": "evil.example"})
    assert (found.status_code, found["Content-Type"]) == (400, "application/problem+json")


def test_every_answer_has_a_request_id_the_callers_own_where_it_is_one(anonymous_api: APIClient) -> None:
    first, second = anonymous_api.get("/healthz")["X-Request-Id"], anonymous_api.get("/nothing")["X-Request-Id"]
    assert len(first) == 32
    assert first != second
    assert anonymous_api.get("/healthz", headers={"x-request-id": "abc-1.2_3"})["X-Request-Id"] == "abc-1.2_3"
    for bad in ("", "a b", "x" * 65, "a\nb", "ä"):
        assert anonymous_api.get("/healthz", headers={"x-request-id": bad})["X-Request-Id"] != bad


@pytest.mark.django_db
def test_the_request_id_is_in_the_audit_trail(owner_api: APIClient, owner: Person) -> None:
    from ollamamax.audit.models import AuditRecord

    owner_api.post("/api/v1/keys", {"name": "x"}, format="json", headers={"x-request-id": "req-1"})
    assert AuditRecord.objects.get(action="key.issue").request == "req-1"


NO_BODY = [
    '"\\ud800"',
    '"\\udfff\\ud800"',
    "[" * 5000 + "]" * 5000,
    "1e400",
    "NaN",
    "'x'",
    '{"a": 1',
    "\ufeff{",
    '{"\\ud834": 1}',
]
"""JSON that Python's own decoder takes in part, and nothing after it can hold."""


@pytest.mark.django_db
@pytest.mark.parametrize("value", NO_BODY, ids=[value[:10] for value in NO_BODY])
@pytest.mark.parametrize("around", ["{}", '{{"name": {}}}', '{{"name": "x", "permissions": [{}]}}'])
def test_a_body_that_cannot_be_held_is_the_clients_fault(owner_api: APIClient, value: str, around: str) -> None:
    for ending in (b"", b"\xff"):
        body = around.format(value).encode() + ending
        found = owner_api.post("/api/v1/keys", body, content_type="application/json")
        assert (found.status_code, found.json()["code"]) == (400, "invalid_request")


@pytest.mark.django_db(transaction=True)
async def test_it_is_all_the_same_behind_an_asgi_server(
    async_client: AsyncClient, owner_key: Key, stranger_key: Key
) -> None:
    for key in (owner_key, stranger_key):
        found = await async_client.get(
            "/api/v1/keys", headers={"authorization": f"Bearer {key.text}", "x-request-id": "req-2"}
        )
        assert found.status_code == 200
        assert found["X-Request-Id"] == "req-2"
        assert [k["id"] for k in found.json()["results"]] == [str(key.row.id)]
    refused = await async_client.get("/api/v1/keys")
    await sync_to_async(connections.close_all)()  # of the thread that ran the views
    assert (refused.status_code, refused["Content-Type"]) == (401, "application/problem+json")
