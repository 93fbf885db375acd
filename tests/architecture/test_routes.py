"""Every route says how it authenticates and what permission it needs, or is on the short public list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

from ollamamax.batches.protocol.files import Files
from ollamamax.batches.protocol.routes import Routes
from ollamamax.blobs.disk import in_folder
from ollamamax.gateway.routes import ROUTES
from ollamamax.identity.api.base import PUBLIC, Declared, KeyAuthentication, View
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.responses.protocol import routes as kept_responses

PUBLIC_METHODS = {
    ("api/v1/session", "GET"),  # says that nobody is logged in, and sets the CSRF cookie
    ("api/v1/session", "POST"),  # logs in; CSRF is checked
    ("api/v1/session", "DELETE"),  # logs out; harmless for nobody
    ("api/v1/session/factor", "POST"),  # the second step of logging in; CSRF is checked
    ("api/v1/session/factor/options", "POST"),
    ("api/v1/session/passkey", "POST"),  # logs in by a passkey alone; CSRF is checked
    ("api/v1/session/passkey/options", "POST"),
    ("api/v1/keys/report-leak", "POST"),  # the key's text is the credential; the answer is the same for every text
    ("api/v1/sso/doors", "POST"),  # by which providers one can log in; CSRF is checked
    ("api/v1/sso/link", "GET"),  # who came by a provider in this session
    ("api/v1/sso/link", "POST"),  # logs in by a password; CSRF is checked
    ("api/v1/sso/directory-log-in", "POST"),  # logs in by a password; CSRF is checked
    ("api/v1/sso/log-out", "POST"),  # logs out; harmless for nobody
    ("api/v1/invitations/open", "POST"),  # the link's token in the body is the credential; CSRF is checked
    ("api/v1/invitations/accept", "POST"),  # the same
    ("api/v1/account/reset", "POST"),  # says the same to everybody; CSRF is checked
    ("api/v1/account/reset/password", "POST"),  # the token of the letter is the credential; CSRF is checked
    ("api/v1/nodes/join", "POST"),  # the join token in the body is the credential
}
PUBLIC_PAGES = {
    "healthz",
    "readyz",
    "api/v1/schema/",
    "api/v1/docs/",
    "api/v1/asyncapi.json",  # the document of the live socket, as the schema is that of the API
    # To an identity provider and back: what comes back counts in the session that asked; a logout token is signed.
    "auth/sso/<uuid:provider_id>/begin",
    "auth/oidc/<uuid:provider_id>/callback",
    "auth/oidc/<uuid:provider_id>/back-channel",
    "auth/saml/<uuid:provider_id>/metadata",
    "auth/saml/<uuid:provider_id>/acs",
    "auth/saml/<uuid:provider_id>/finish",
    "auth/saml/<uuid:provider_id>/log-out",
    # A client's secret or a workload's token in the form is the credential, and the rest is public: `tests/oauth`.
    "oauth/token",
    # The session says who a browser is, an access token who asks about whom, an ID token who logs out: `tests/oauth/test_provider.py`.
    "oauth/authorize",
    "oauth/userinfo",
    "oauth/end-session",
    "oauth/jwks",
    ".well-known/oauth-authorization-server",
    ".well-known/openid-configuration",
    # A directory's token says whose it is; `tests/provisioning` shows that nobody gets in without.
    "scim/v2",
    "scim/v2/<path:path>",
    # The console's page: the same file for everybody; its data come from the API.
    "",
    r"^(?!api/|static/|v1/|v2/|ws/)(?P<address>.+)$",
}


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + str(pattern.pattern), pattern.callback


ALL = list(routes(get_resolver().url_patterns))
API = [(path, view.cls) for path, view in ALL if issubclass(getattr(view, "cls", object), View)]


def test_every_route_is_built_on_the_base_view_or_is_a_public_page() -> None:
    others = {path for path, view in ALL if not issubclass(getattr(view, "cls", object), View)}
    assert others <= PUBLIC_PAGES
    assert len(API) > 8


def test_public_pages_serve_nothing_but_what_everybody_may_see() -> None:
    for path, view in ALL:
        if path in PUBLIC_PAGES and hasattr(view, "cls"):
            assert view.cls.permission_classes == [AllowAny], path
            assert view.cls.authentication_classes == [], path


def test_only_methods_on_the_public_list_are_public() -> None:
    public = {(path, method) for path, view in API for method, needed in view.permissions.items() if needed == PUBLIC}
    assert public == PUBLIC_METHODS


@pytest.mark.parametrize(("path", "view"), API, ids=[path for path, _ in API])
def test_every_view_keeps_the_bases_checks(path: str, view: type[View]) -> None:
    assert view.permission_classes == [Declared]
    handlers = {m.upper() for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)}
    assert handlers == set(view.permissions)
    if set(view.permissions.values()) != {PUBLIC}:
        assert KeyAuthentication in view.authentication_classes


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "view"), API, ids=[path for path, _ in API])
def test_nobody_unknown_gets_in_anywhere_else(path: str, view: type[View], anonymous_api: APIClient) -> None:
    address = "/" + "".join(
        ("1" if part.startswith("<int:") else "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234") if i % 2 else part
        for i, part in enumerate(path.replace("<", "\0<").replace(">", ">\0").split("\0"))
    )
    for method, needed in view.permissions.items():
        if needed != PUBLIC:
            answer = anonymous_api.generic(method, address)
            assert answer.status_code == 401, (method, address)
            assert answer["Content-Type"] == "application/problem+json"


def test_every_route_of_the_gateway_needs_a_permission_that_exists() -> None:
    files = Files(in_folder(Path()), most_bytes=1, most_of_tenant=1)
    more = [route for methods in (Routes(files).table | kept_responses.TABLE).values() for route in methods.values()]
    assert len(more) > 8
    assert {route.permission for route in (*ROUTES.values(), *more)} <= PERMISSIONS


def test_a_view_that_declares_nothing_or_nonsense_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="declares no permissions"):
        type("Forgetful", (View,), {})
    with pytest.raises(TypeError, match="do not exist"):
        type("Wishful", (View,), {"permissions": {"GET": "everything"}})
