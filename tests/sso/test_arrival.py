"""Coming back by an identity provider against what somebody decided here by hand, and against oneself in another browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, connections, transaction
from rest_framework.test import APIClient

from ollamamax.identity import throttle
from ollamamax.identity.actions.invitation import invite, revoke_invitation
from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.email import checked_email
from ollamamax.identity.models import Membership, RemovedMember, Tenant, User
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.sso.actions.provider import change_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from tests.cast import PASSWORD, SYSTEM, Person, logged_in, make_person
from tests.patience import LONG
from tests.sso.conftest import Browser, why
from tests.sso.provider import FakeProvider

pytestmark = pytest.mark.django_db(transaction=True)
ADA = "ada@acme.example"


def state(tenant: Tenant) -> str:
    with tenant_scope(tenant):
        return Membership.objects.get(user__email=ADA).state


def withhold(provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person) -> User:
    """A member whom the rules gave a role, and give none any more."""
    change_provider(
        acting=owner.acting, provider_id=provider.pk, rules=[Rule("groups", "staff", "viewer")], default_role=None
    )
    at_fake.log_in(provider)
    fake.claims["groups"] = []
    assert why(at_fake.log_in(provider)) == "no_role"
    return User.objects.get(email=ADA)


Step = Callable[[Person, User], Any]


def suspend(owner: Person, user: User) -> None:
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=user.pk, state="suspended")


def activate(owner: Person, user: User) -> None:
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=user.pk, state="active")


@pytest.mark.parametrize("steps", [[suspend], [activate, suspend], [suspend, activate, suspend]], ids=len)
def test_a_suspension_by_hand_is_lifted_by_hand_alone(
    steps: list[Step], provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, tenant: Tenant
) -> None:
    user = withhold(provider, at_fake, fake, owner)
    for step in steps:
        step(owner, user)
    fake.claims["groups"] = ["staff"]
    assert why(at_fake.log_in(provider)) == "suspended"
    assert state(tenant) == "suspended"
    activate(owner, user)
    assert at_fake.log_in(provider) == "/"


def test_whoever_was_removed_by_hand_comes_back_when_somebody_invites_or_adds_them(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, tenant: Tenant
) -> None:
    at_fake.log_in(provider)
    user = User.objects.get(email=ADA)
    remove_member(acting=owner.acting, tenant=tenant, user=user)
    assert why(at_fake.log_in(provider)) == "removed"
    # Not by an invitation that was taken back, nor by one that was open when they were removed.
    revoke_invitation(acting=owner.acting, invitation_id=invite(acting=owner.acting, email=ADA, role="viewer")[0].id)
    assert why(at_fake.log_in(provider)) == "removed"
    invite(acting=owner.acting, email=ADA.upper(), role="viewer")
    assert at_fake.log_in(provider) == "/"
    remove_member(acting=owner.acting, tenant=tenant, user=user)
    assert why(at_fake.log_in(provider)) == "removed"
    add_member(acting=SYSTEM, tenant=tenant, user=user, role="viewer")
    assert at_fake.log_in(provider) == "/"
    with tenant_scope(tenant):
        assert not RemovedMember.objects.exists()


def test_another_identity_of_whoever_was_removed_does_not_let_them_back(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, tenant: Tenant
) -> None:
    """Unlinked and linked again by the password it is the same person."""
    member = make_person(tenant, "leaver", "developer")
    fake.claims["email"] = member.email
    remove_member(acting=owner.acting, tenant=tenant, user=member.user)
    assert at_fake.log_in(provider) == "/log-in-link"
    linked = at_fake.client.post("/api/v1/sso/link", {"password": PASSWORD}, format="json")
    assert (linked.status_code, linked.json()["why"]) == (403, "removed")
    assert at_fake.email() is None


_NO_ADDRESSES = [
    "a@b@acme.example", "a\n@acme.example", "a@acme.example\nx", "a\r\nBcc: x@evil.example@acme.example", '"a@b"@acme.example',
    '"a\\\n"@acme.example', "@acme.example", "a@", "a@acme.example.", "a @acme.example", "a\0@acme.example", "\u017fa@acme.example",
    "\u212aa@acme.example", "a@acme.\u212axample", "a@[127.0.0.1", "a" * 65 + "@" + "b" * 250 + ".example", "<a@acme.example>", "",
]  # fmt: skip


@pytest.mark.parametrize("text", _NO_ADDRESSES, ids=lambda text: repr(text)[:30])
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        checked_email(text)


def test_what_only_looks_like_an_address_makes_no_account_and_is_not_invited(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person
) -> None:
    for text in ("a@b@acme.example", '"a\\\n"@acme.example', "\u017fa@acme.example"):
        fake.claims["email"] = text
        assert why(at_fake.log_in(provider)) == "no_email"
        with pytest.raises(InvalidRequest):
            invite(acting=owner.acting, email=text, role="viewer")


def test_who_waits_to_be_linked_leaves_no_token_in_the_session_and_survives_a_change_of_the_provider(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person
) -> None:
    fake.claims["email"] = owner.email
    assert at_fake.log_in(provider) == "/log-in-link"
    assert at_fake.client.get("/api/v1/sso/link").status_code == 200
    held = json.dumps([each.get_decoded() for each in Session.objects.all()])
    assert "eyJ" not in held
    assert "token" not in held
    change_provider(acting=owner.acting, provider_id=provider.pk, email_claim="mail")
    assert at_fake.client.get("/api/v1/sso/link").status_code == 404
    assert at_fake.client.post("/api/v1/sso/link", {"password": PASSWORD}, format="json").status_code == 404


def test_the_first_log_ins_of_one_person_in_two_browsers_are_of_one_user(
    provider: IdentityProvider, at_fake: Browser, tenant: Tenant, owner: Person
) -> None:
    asked = at_fake.begin(provider)
    led: list[str] = []

    def come_back() -> None:
        led.append(at_fake.back(provider, state=asked["state"], code="a code"))
        connections.close_all()

    with tenant_scope(tenant), transaction.atomic():
        # The other browser, whose log-in is not over yet.
        user = User.objects.create(email=ADA)
        ExternalIdentity.objects.create(
            tenant=tenant, provider=provider, user=user, subject="ada", seen_at=tenant.created_at
        )
        role = Membership.objects.select_related("role").get(user=owner.user).role
        Membership.objects.create(tenant=tenant, user=user, role=role)
        thread = threading.Thread(target=come_back)
        thread.start()
        _wait_until_somebody_waits()
    thread.join(LONG)
    assert led == ["/"]
    assert at_fake.email() == ADA
    assert User.objects.filter(email=ADA).count() == 1


def _wait_until_somebody_waits() -> None:
    for _ in range(int(LONG * 100)):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_sleep(0.01) IS NOT NULL")
            if cursor.fetchone() != (0,):
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits for the log-in that is under way")


def test_one_address_begins_so_many_ways_and_no_more(
    provider: IdentityProvider, at_fake: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(throttle.PACES, "sso", throttle.AttemptPace(3, 3600.0))
    for _ in range(3):
        at_fake.begin(provider)
    before = Session.objects.count()
    other = APIClient()
    assert why(other.get(f"/auth/sso/{provider.pk}/begin")["Location"]) == "too_often"
    assert Session.objects.count() == before


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [{"claim": "groups", "pattern": "*", "role": "owner"}]},
        {"rules": [{"claim": "groups", "pattern": "owners", "role": "owner"}]},
        {"issuer": "http://127.0.0.1:2"},
    ],
    ids=str,
)
def test_nobody_gives_others_by_an_owners_rule_what_they_may_not_give(
    change: dict[str, Any], provider: IdentityProvider, owner: Person, tenant: Tenant
) -> None:
    """Another pattern, another order, or another provider behind it, makes others owners by a rule that is there."""
    rules = [Rule("groups", "no owners", "viewer"), Rule("groups", "owners", "owner")]
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=rules)
    admin = logged_in(make_person(tenant, "admin", "admin"))
    one = f"/api/v1/sso/providers/{provider.pk}"
    assert admin.patch(one, change, format="json").status_code == 403
    assert admin.patch(one, {"name": "Other"}, format="json").status_code == 200
    with tenant_scope(tenant):
        assert [each.pattern for each in provider.rules.all()] == ["no owners", "owners"]
