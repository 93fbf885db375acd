"""Logging in by an identity provider, there and back: who gets in, as whom, with which role, and what is refused in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity.actions.member import change_member
from ollamamax.identity.actions.user import set_user_active
from ollamamax.identity.models import Membership, Tenant, User
from ollamamax.identity.scope import tenant_scope
from ollamamax.outbound.addresses import Rules
from ollamamax.sso import discovery
from ollamamax.sso.actions.provider import change_provider, create_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from ollamamax.sso.relying_party import STATES
from tests.cast import PASSWORD, SYSTEM, Person, logged_in, make_person
from tests.sso.conftest import Browser, own_domain, set_up, why
from tests.sso.provider import CLIENT, OTHER_KEY, SECRET, FakeProvider, public, signed

pytestmark = pytest.mark.django_db


def membership(tenant: Tenant, email: str) -> Membership:
    with tenant_scope(tenant):
        return Membership.objects.select_related("role", "user").get(user__email=email)


def audited(action: str) -> list[dict[str, Any]]:
    return [record.detail for record in opened(AuditRecord.objects.filter(action=action).order_by("at", "id"))]


# There and back.


def test_somebody_new_is_made_a_member_and_logged_in(
    provider: IdentityProvider, at_fake: Browser, tenant: Tenant, fake: FakeProvider
) -> None:
    asked = at_fake.begin(provider, next="/keys?of=me")
    assert asked.keys() >= {"state", "nonce", "code_challenge"}
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", CLIENT)
    assert asked["scope"] == "openid email profile"
    assert asked["redirect_uri"] == f"http://testserver/auth/oidc/{provider.pk}/callback"

    assert at_fake.back(provider, state=asked["state"], code="a code") == "/keys?of=me"
    session = at_fake.session()
    assert session["user"]["email"] == "ada@acme.example"
    assert session["tenant"]["slug"] == tenant.slug
    assert (session["log_in"]["method"], session["log_in"]["provider"]) == ("oidc", provider.pk.hex)
    found = membership(tenant, "ada@acme.example")
    assert (found.role.slug, found.source, found.state) == ("viewer", "oidc", "active")
    assert not found.user.has_usable_password()

    _, headers, form = next(each for each in fake.asked if each[0] == "/token")
    assert (
        base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        == "ollamamax:the%20client%27s%20secret"
    )
    assert form["code"] == ["a code"]
    assert form["redirect_uri"] == [asked["redirect_uri"]]
    assert len(form["code_verifier"][0]) >= 43
    assert [each["provider"] for each in audited("session.log_in")] == [provider.pk.hex]
    assert SECRET not in json.dumps([each.detail for each in opened(AuditRecord.objects.all())])


def test_the_same_person_comes_again_under_another_address(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    at_fake.log_in(provider)
    fake.claims["email"] = "ada.lovelace@acme.example"
    at_fake.log_in(provider)
    assert at_fake.email() == "ada@acme.example"
    assert User.objects.filter(email__endswith="@acme.example").count() == 2  # with the owner


def test_what_somebody_says_comes_next_is_an_address_of_ours(provider: IdentityProvider, at_fake: Browser) -> None:
    for bad in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a b", "", "/\nx"):
        assert at_fake.log_in(provider, next=bad) == "/"


def test_under_another_name_the_browser_is_led_to_the_public_one_first(
    provider: IdentityProvider, at_fake: Browser
) -> None:
    answer = at_fake.client.get(f"/auth/sso/{provider.pk}/begin?next=/keys", headers={"Host": "localhost"})
    assert answer["Location"] == f"http://testserver/auth/sso/{provider.pk}/begin?next=%2Fkeys&moved=1"


def test_a_public_client_and_one_whose_secret_goes_into_the_body(
    owner: Person, at_fake: Browser, fake: FakeProvider
) -> None:
    own_domain(owner.tenant, "acme.example")
    document = fake.document() | {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    fake.answers["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
    open_ = set_up(owner, fake, client_secret="")
    at_fake.log_in(open_)
    change_provider(acting=owner.acting, provider_id=open_.pk, client_secret=SECRET)
    at_fake.log_in(open_)
    forms = [form for path, _, form in fake.asked if path == "/token"]
    assert [form.get("client_secret") for form in forms] == [None, [SECRET]]
    assert all(form["client_id"] == [CLIENT] for form in forms)


# What comes back and is no answer to what was asked.


def test_an_answer_counts_once_and_in_the_session_that_asked(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    asked = at_fake.begin(provider)
    copy = at_fake.client.session[STATES]
    other = Browser(fake, APIClient())
    assert why(other.back(provider, state=asked["state"], code="stolen")) == "unknown_state"
    at_fake.back(provider, state=asked["state"], code="a code")
    # Another request of the same session had a copy of it, and wrote that back.
    session: Any = at_fake.client.session
    session[STATES] = copy
    session.save()
    assert why(at_fake.back(provider, state=asked["state"], code="a code")) == "unknown_state"
    at_fake.client.delete("/api/v1/session")
    assert why(at_fake.back(provider, state=asked["state"], code="a code")) == "unknown_state"
    assert why(at_fake.back(provider)) == "unknown_state"
    assert at_fake.email() is None


def test_an_answer_of_another_provider_is_refused(
    provider: IdentityProvider, at_fake: Browser, stranger: Person, fake: FakeProvider
) -> None:
    """What was asked of one tenant's provider is not answered by another's, though both are at the same issuer."""
    other = set_up(stranger, fake)
    asked = at_fake.begin(other)
    assert why(at_fake.back(provider, state=asked["state"], code="a code")) == "other_provider"
    asked = at_fake.begin(provider)
    assert why(at_fake.back(provider, state=asked["state"], code="x", iss="https://evil.example")) == "wrong_issuer"
    assert at_fake.email() is None


def test_an_answer_that_must_name_its_issuer_and_does_not_is_refused(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    document = fake.document() | {"authorization_response_iss_parameter_supported": True}
    fake.answers["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
    assert why(at_fake.log_in(provider)) == "wrong_issuer"
    asked = at_fake.begin(provider)
    assert at_fake.back(provider, state=asked["state"], code="x", iss=fake.issuer) == "/"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "http://127.0.0.1:1"}, "wrong_issuer"),
        ({"aud": "another client"}, "wrong_audience"),
        ({"azp": "another client"}, "wrong_audience"),
        ({"exp": 1000}, "expired"),
        ({"iat": 9e9}, "not_yet"),
        ({"nonce": "of another log-in"}, "wrong_nonce"),
        ({"sub": None}, "bad_token"),
    ],
    ids=str,
)
def test_a_token_that_is_wrong_in_one_thing_lets_nobody_in(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, changed: dict[str, Any], reason: str
) -> None:
    asked = at_fake.begin(provider)
    fake.answers["/token"] = (200, json.dumps({"id_token": fake.id_token(**changed)}).encode())
    assert why(at_fake.back(provider, state=asked["state"], code="a code")) == reason
    assert at_fake.email() is None
    assert [each["why"] for each in audited("session.refuse_sso")] == [reason]


def test_a_token_that_no_key_of_the_provider_signed_lets_nobody_in(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    fake.make_token = lambda claims: signed(claims, OTHER_KEY)
    assert why(at_fake.log_in(provider)) == "bad_signature"
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    fake.make_token = lambda claims: (
        f"{head}.{base64.urlsafe_b64encode(json.dumps(dict(claims)).encode()).decode().rstrip('=')}."
    )
    assert why(at_fake.log_in(provider)) == "algorithm"
    assert at_fake.email() is None


def test_keys_are_kept_and_fetched_again_once_when_they_were_changed(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    at_fake.log_in(provider)
    at_fake.log_in(provider)
    assert fake.asked_at("/keys") == 1
    fake.keys = [public(OTHER_KEY, "two")]
    fake.make_token = lambda claims: signed(claims, OTHER_KEY, "two")
    assert at_fake.log_in(provider) == "/"
    assert fake.asked_at("/keys") == 2
    fake.make_token = lambda claims: signed(claims, OTHER_KEY, "three")
    assert why(at_fake.log_in(provider)) == "unknown_key"
    assert fake.asked_at("/keys") == 3


def test_a_provider_that_refuses_is_quoted_by_its_code_alone(provider: IdentityProvider, at_fake: Browser) -> None:
    asked = at_fake.begin(provider)
    led = at_fake.back(provider, state=asked["state"], error="access_denied", error_description="<b>Call 555</b>")
    assert why(led) == "provider_said"
    assert "said=access_denied" in led
    assert "555" not in led
    asked = at_fake.begin(provider)
    assert "said=" not in at_fake.back(provider, state=asked["state"], error="<script>")


_JUNK = [
    b"",
    b"[]",
    b"null",
    b"{",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"id_token": 7}',
    b'{"keys": {}}',
    b'{"id_token": "a.b.c"}',
    b"x" * (1 << 19),
]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
def test_whatever_a_provider_answers_is_a_page_and_no_failure(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, path: str
) -> None:
    for junk in _JUNK:
        for status in (200, 500):
            asked = at_fake.begin(provider)
            discovery.forget(fake.issuer)
            fake.answers[path] = (status, junk)
            assert why(at_fake.back(provider, state=asked["state"], code="a code"))
            del fake.answers[path]
    assert at_fake.email() is None


def test_a_provider_that_is_away_or_at_an_address_of_our_own_is_told_so(
    provider: IdentityProvider, at_fake: Browser, settings: Settings, owner: Person
) -> None:
    away = create_provider(acting=owner.acting, name="Away", issuer="http://127.0.0.1:1", client_id=CLIENT)
    assert why(at_fake.client.get(f"/auth/sso/{away.pk}/begin")["Location"]) == "unreachable"
    discovery.forget(provider.issuer)
    settings.OUTBOUND_RULES = Rules(http=True)
    assert why(at_fake.client.get(f"/auth/sso/{provider.pk}/begin")["Location"]) == "address_refused"


def test_endpoints_that_lead_into_our_own_network_are_refused(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider
) -> None:
    for name in ("token_endpoint", "jwks_uri", "authorization_endpoint", "end_session_endpoint"):
        document = fake.document() | {name: "http://169.254.169.254/latest"}
        fake.answers["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
        assert why(at_fake.client.get(f"/auth/sso/{provider.pk}/begin")["Location"]) == "address_refused"


def test_a_disabled_provider_and_one_of_a_suspended_tenant_lead_nowhere(
    provider: IdentityProvider, at_fake: Browser, owner: Person, tenant: Tenant
) -> None:
    change_provider(acting=owner.acting, provider_id=provider.pk, enabled=False)
    assert why(at_fake.client.get(f"/auth/sso/{provider.pk}/begin")["Location"]) == "unknown_provider"


def test_what_nobody_comes_back_to_is_forgotten_soon(provider: IdentityProvider, at_fake: Browser) -> None:
    at_fake.begin(provider)
    [session] = Session.objects.all()
    assert session.get_decoded()["_session_expiry"] == 900
    at_fake.log_in(provider)
    assert at_fake.client.session.get_expiry_age() > 86400


# Who gets in as whom.


def test_an_address_takes_no_account_over(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, member: Person
) -> None:
    """Neither a password's account nor one that another provider, or the same one under another subject, made."""
    for email in (owner.email, member.email.upper()):
        fake.claims |= {"sub": email, "email": email}
        assert at_fake.log_in(provider) == "/log-in-link"
        assert at_fake.email() is None
    fake.claims |= {"sub": "ada", "email": "ada@acme.example"}
    at_fake.log_in(provider)
    at_fake.client.delete("/api/v1/session")
    fake.claims["sub"] = "the next one with Ada's address"
    assert at_fake.log_in(provider) == "/log-in-link"
    assert at_fake.email() is None


def test_an_address_of_a_domain_that_is_not_the_tenants_makes_no_account(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, stranger: Person
) -> None:
    own_domain(stranger.tenant, "strangers.example")
    for email in ("eve@strangers.example", "eve@evil.example", "eve@sub.acme.example", "eve@acme.example.evil.example"):
        fake.claims |= {"sub": email, "email": email}
        assert why(at_fake.log_in(provider)) == "foreign_domain"
    assert not User.objects.filter(email__startswith="eve").exists()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email": None}, "no_email"),
        ({"email": "nobody"}, "no_email"),
        ({"email": ["", "x"]}, "no_email"),
        ({"email": "a" * 300 + "@acme.example"}, "no_email"),
        ({"email": "a b@acme.example"}, "no_email"),
        ({"email_verified": False}, "email_not_verified"),
        ({"email_verified": "false"}, "email_not_verified"),
        ({"email_verified": "False"}, "email_not_verified"),
        ({"email_verified": "no"}, "email_not_verified"),
        ({"email_verified": 0}, "email_not_verified"),
        ({"email_verified": "0"}, "email_not_verified"),
        ({"email_verified": []}, "email_not_verified"),
        ({"email_verified": {}}, "email_not_verified"),
        ({"groups": ["x"] * 3000}, "bad_answer"),
        ({"name": "nul\0"}, "bad_answer"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_claims_that_make_no_account(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, claims: dict[str, Any], reason: str
) -> None:
    fake.claims |= claims
    assert why(at_fake.log_in(provider)) == reason


def test_a_provider_may_make_no_accounts(provider: IdentityProvider, at_fake: Browser, owner: Person) -> None:
    change_provider(acting=owner.acting, provider_id=provider.pk, creates_users=False)
    assert why(at_fake.log_in(provider)) == "not_created"


def test_whoever_was_deactivated_or_suspended_is_refused(
    provider: IdentityProvider, at_fake: Browser, owner: Person, tenant: Tenant
) -> None:
    at_fake.log_in(provider)
    user = membership(tenant, "ada@acme.example").user
    change_member(acting=owner.acting, tenant=tenant, user_id=user.pk, state="suspended")
    assert why(at_fake.log_in(provider)) == "suspended"
    assert at_fake.session()["tenant"] is None
    change_member(acting=owner.acting, tenant=tenant, user_id=user.pk, state="active")
    set_user_active(acting=SYSTEM, user_id=user.pk, active=False)
    assert why(at_fake.log_in(provider)) == "deactivated"
    assert at_fake.email() is None


# Roles.


def test_rules_give_the_role_at_each_log_in(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, tenant: Tenant
) -> None:
    rules = [Rule("groups", "admins", "admin"), Rule("groups", "ml-*", "developer")]
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=rules, default_role=None)

    def role() -> tuple[str, str]:
        found = membership(tenant, "ada@acme.example")
        return found.role.slug, found.state

    assert why(at_fake.log_in(provider)) == "no_role"
    assert not User.objects.filter(email="ada@acme.example").exists()
    fake.claims["groups"] = ["staff", "ml-europe"]
    at_fake.log_in(provider)
    assert role() == ("developer", "active")
    fake.claims["groups"] = ["admins", "ml-europe"]
    at_fake.log_in(provider)
    assert role() == ("admin", "active")
    # Who is in no group any more is refused, and their keys too; and let in again when they are.
    fake.claims["groups"] = []
    assert why(at_fake.log_in(provider)) == "no_role"
    assert role() == ("admin", "suspended")
    assert at_fake.session()["tenant"] is None
    fake.claims["groups"] = ["ml-asia"]
    at_fake.log_in(provider)
    assert role() == ("developer", "active")
    assert [each.get("role") for each in audited("member.change")] == ["admin", "admin", "developer"]


def test_rules_leave_the_last_owner_and_what_is_kept_here(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, tenant: Tenant
) -> None:
    with tenant_scope(tenant):
        for person, subject in ((owner, "ada"), (make_person(tenant, "local", "developer"), "local")):
            ExternalIdentity.objects.create(
                tenant=tenant, provider=provider, user=person.user, subject=subject, seen_at=tenant.created_at
            )
        Membership.objects.filter(user=owner.user).update(source="oidc")
    assert at_fake.log_in(provider) == "/"
    assert membership(tenant, owner.email).role.slug == "owner"
    fake.claims["sub"] = "local"
    assert at_fake.log_in(provider) == "/"
    assert membership(tenant, "local@acme.example").role.slug == "developer"


# One tenant and another.


def test_a_provider_vouches_in_its_own_tenant_alone(
    provider: IdentityProvider, at_fake: Browser, stranger: Person, tenant: Tenant
) -> None:
    """Whoever runs a tenant's provider could be any of its members: what these may elsewhere is not theirs."""
    at_fake.log_in(provider)
    user = User.objects.get(email="ada@acme.example")
    with tenant_scope(stranger.tenant):
        role = Membership.objects.select_related("role").get(user=stranger.user).role
        Membership.objects.create(tenant=stranger.tenant, user=user, role=role)
    assert at_fake.session()["tenant"]["slug"] == tenant.slug
    answer = at_fake.client.put("/api/v1/session/tenant", {"tenant": str(stranger.tenant.id)}, format="json")
    assert answer.status_code == 403


# Linking.


def test_an_account_is_linked_by_its_password_and_the_provider_together(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, member: Person
) -> None:
    fake.claims["email"] = member.email
    assert at_fake.log_in(provider) == "/log-in-link"
    assert at_fake.client.get("/api/v1/sso/link").json() == {"email": member.email, "provider": "Login"}
    wrong = at_fake.client.post("/api/v1/sso/link", {"password": "not the password"}, format="json")
    assert (wrong.status_code, at_fake.email()) == (401, None)
    assert at_fake.client.post("/api/v1/sso/link", {"password": PASSWORD}, format="json").status_code == 204
    assert at_fake.email() == member.email
    assert at_fake.session()["log_in"]["method"] == "oidc"
    assert at_fake.client.get("/api/v1/sso/link").status_code == 404
    at_fake.client.delete("/api/v1/session")
    assert at_fake.log_in(provider) == "/"
    assert at_fake.email() == member.email
    assert [each["email"] for each in audited("user.link_identity")] == [member.email]


def test_who_is_logged_in_links_and_unlinks_an_identity(
    provider: IdentityProvider, fake: FakeProvider, member: Person, viewer: Person
) -> None:
    browser = Browser(fake, logged_in(member))
    begun = browser.client.post("/api/v1/account/identities", {"provider": str(provider.pk)}, format="json")
    asked = browser.asked(begun.json()["url"])
    assert browser.back(provider, state=asked["state"], code="a code") == "/account"
    [mine] = browser.client.get("/api/v1/account/identities").json()["results"]
    assert (mine["provider"], mine["subject"]) == ("Login", "ada")
    # Another user cannot have it too.
    other = Browser(fake, logged_in(viewer))
    asked = other.asked(
        other.client.post("/api/v1/account/identities", {"provider": str(provider.pk)}, format="json").json()["url"]
    )
    assert why(other.back(provider, state=asked["state"], code="a code")) == "linked_elsewhere"
    assert other.client.delete(f"/api/v1/account/identities/{mine['id']}").status_code == 404
    assert browser.client.delete(f"/api/v1/account/identities/{mine['id']}").status_code == 204


def test_linking_begun_by_one_is_not_ended_by_another(
    provider: IdentityProvider, fake: FakeProvider, member: Person, viewer: Person
) -> None:
    """Neither does a log-in that somebody was led to link anything."""
    browser = Browser(fake, logged_in(member))
    begun = browser.client.post("/api/v1/account/identities", {"provider": str(provider.pk)}, format="json")
    asked = browser.asked(begun.json()["url"])
    browser.client.force_login(viewer.user, backend="django.contrib.auth.backends.ModelBackend")
    assert why(browser.back(provider, state=asked["state"], code="a code")) in {"not_logged_in", "unknown_state"}
    browser.log_in(provider)
    assert browser.email() == "ada@acme.example"
    with tenant_scope(provider.tenant_id):
        assert not ExternalIdentity.objects.filter(user__in=[member.user, viewer.user]).exists()


def test_a_stranger_has_no_tenant_of_ours_to_link_at(provider: IdentityProvider, stranger_api: APIClient) -> None:
    answer = stranger_api.post("/api/v1/account/identities", {"provider": str(provider.pk)}, format="json")
    assert answer.status_code == 404


def test_nothing_of_a_provider_is_taken_from_another_tenants(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, stranger: Person
) -> None:
    """The same issuer and subject in another tenant is somebody else."""
    at_fake.log_in(provider)
    own_domain(stranger.tenant, "strangers.example")
    other = set_up(stranger, fake)
    fake.claims["email"] = "ada@strangers.example"
    at_fake.log_in(other)
    assert at_fake.email() == "ada@strangers.example"
    assert at_fake.session()["tenant"]["slug"] == stranger.tenant.slug
