"""`/api/v1/invitations`: by a link that is shown once, for one address, one use, and never more than whoever invites may give."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity import throttle
from ollamamax.identity.actions.member import change_member, remove_member
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.tenant import set_tenant_suspended
from ollamamax.identity.models import Invitation, Membership, User
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.mail.sending import send_due
from tests.cast import PASSWORD, SYSTEM, Person, logged_in, make_person
from tests.mail.sink import taking

pytestmark = pytest.mark.django_db(transaction=True)
INVITATIONS = "/api/v1/invitations"
NEW = "ada@example.com"
CHOSEN = "a-fine-and-long-password"


def invite(api: APIClient, email: str = NEW, role: str = "member", **body: Any) -> Any:
    return api.post(INVITATIONS, {"email": email, "role": role} | body, format="json")


def token(answer: Any) -> str:
    assert answer.status_code == 201, answer.json()
    link: str = answer.json()["link"]
    return link.partition("/invitation#")[2]


def accept(api: APIClient, text: str, **body: Any) -> Any:
    return api.post(f"{INVITATIONS}/accept", {"token": text} | body, format="json")


def role_of(person_email: str, owner: Person) -> str | None:
    with tenant_scope(owner.tenant):
        found = Membership.objects.filter(user__email__iexact=person_email).first()
        return None if found is None else found.role.slug


def test_somebody_new_is_invited_sees_what_for_and_becomes_a_member(owner: Person, owner_api: APIClient) -> None:
    made = invite(owner_api, role="developer")
    assert made["Cache-Control"] == "no-store"
    text = token(made)
    browser = APIClient()
    seen = browser.post(f"{INVITATIONS}/open", {"token": text}, format="json").json()
    assert (seen["tenant"], seen["email"], seen["has_account"], seen["invited_by"]) == ("Acme", NEW, False, owner.email)
    session = accept(browser, text, name="Ada Lovelace", password=CHOSEN).json()
    assert (session["authenticated"], session["user"]["name"], session["tenant"]["role"]) == (
        True,
        "Ada Lovelace",
        "developer",
    )
    assert browser.get("/api/v1/me").json()["name"] == NEW
    [row] = [each for each in owner_api.get("/api/v1/members").json()["results"] if each["email"] == NEW]
    assert (row["name"], row["state"], row["last_log_in_method"]) == ("Ada Lovelace", "active", "password")
    assert row["last_log_in_at"] is not None
    [listed] = owner_api.get(INVITATIONS).json()["results"]
    assert listed["state"] == "accepted"
    assert "link" not in listed
    actions = set(AuditRecord.objects.values_list("action", flat=True))
    assert {"invitation.create", "invitation.accept", "user.create", "session.log_in"} <= actions
    # And once only.
    assert accept(APIClient(), text, password=CHOSEN).status_code == 404


def test_the_link_is_in_no_row_record_or_list(owner: Person, owner_api: APIClient) -> None:
    text = token(invite(owner_api))
    with tenant_scope(owner.tenant):
        kept = str(list(Invitation.objects.values()))
    assert text not in kept + str(list(AuditRecord.objects.values())) + owner_api.get(INVITATIONS).content.decode()


def test_who_has_an_account_accepts_when_logged_in_under_its_address_alone(
    owner: Person, owner_api: APIClient, stranger: Person, stranger_api: APIClient
) -> None:
    text = token(invite(owner_api, stranger.email.upper(), role="viewer"))
    seen = APIClient().post(f"{INVITATIONS}/open", {"token": text}, format="json").json()
    assert seen["has_account"] is True
    refused = accept(APIClient(), text, password=CHOSEN)
    assert (refused.status_code, "log in" in refused.json()["detail"]) == (409, True)
    other = logged_in(make_person(stranger.tenant, "other", "member"))
    assert accept(other, text).status_code == 403
    session = accept(stranger_api, text).json()
    assert (session["tenant"]["slug"], session["tenant"]["role"]) == ("acme", "viewer")
    assert {each["slug"] for each in session["tenants"]} == {"acme", "strangers"}
    with every_tenant():
        assert stranger.user.check_password(PASSWORD)
    assert accept(stranger_api, text).status_code == 404


@pytest.mark.parametrize("end", ["revoked", "expired", "suspended", "replaced", "role deleted"])
def test_a_link_that_ended_lets_nobody_in(owner: Person, owner_api: APIClient, end: str) -> None:
    made = invite(owner_api)
    text, one = token(made), f"{INVITATIONS}/{made.json()['id']}"
    if end == "revoked":
        assert [owner_api.delete(one).status_code for _ in range(2)] == [204, 204]
        assert owner_api.get(one).json()["state"] == "revoked"
    elif end == "expired":
        with tenant_scope(owner.tenant):
            Invitation.objects.update(expires_at=timezone.now())
    elif end == "suspended":
        set_tenant_suspended(acting=SYSTEM, tenant_id=owner.tenant.id, suspended=True)
    elif end == "replaced":
        token(invite(owner_api, NEW.upper()))
    else:
        role = create_role(acting=owner.acting, slug="brief", name="Brief", permissions=["node.view"])
        text = token(invite(owner_api, role="brief"))
        assert owner_api.delete(f"/api/v1/roles/{role.id}").status_code == 204
    assert APIClient().post(f"{INVITATIONS}/open", {"token": text}, format="json").status_code == 404
    assert accept(APIClient(), text, password=CHOSEN).status_code == 404
    assert not User.objects.filter(email__iexact=NEW).exists()


@pytest.mark.parametrize("how", ["removed", "suspended", "demoted"])
def test_an_invitation_ends_with_the_right_of_whoever_invited(owner: Person, owner_api: APIClient, how: str) -> None:
    admin = make_person(owner.tenant, "admin", "admin")
    text = token(invite(logged_in(admin)))
    if how == "removed":
        remove_member(acting=owner.acting, tenant=owner.tenant, user=admin.user)
    else:
        change = {"state": "suspended"} if how == "suspended" else {"role": "member"}
        change_member(acting=owner.acting, tenant=owner.tenant, user_id=admin.user.id, **change)
    assert accept(APIClient(), text, password=CHOSEN).status_code == 409
    assert role_of(NEW, owner) is None
    assert not User.objects.filter(email=NEW).exists()


def test_nobody_invites_to_more_than_they_may(owner: Person, owner_api: APIClient, member_api: APIClient) -> None:
    admin = logged_in(make_person(owner.tenant, "admin", "admin"))
    assert invite(admin, role="owner").status_code == 403
    assert invite(owner_api, role="owner").status_code == 201
    assert invite(member_api).status_code == 403
    assert member_api.get(INVITATIONS).status_code == 403
    create_role(acting=owner.acting, slug="inviter", name="Inviter", permissions=["member.manage", "node.view"])
    inviter = logged_in(make_person(owner.tenant, "inviter", "inviter"))
    assert invite(inviter, role="admin").status_code == 403
    assert invite(inviter, role="inviter").status_code == 201


def test_another_tenants_invitations_are_not_there(owner_api: APIClient, stranger_api: APIClient) -> None:
    one = f"{INVITATIONS}/{invite(owner_api).json()['id']}"
    assert stranger_api.get(one).status_code == stranger_api.delete(one).status_code == 404
    assert stranger_api.get(INVITATIONS).json()["results"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "nonsense"}, 400),
        ({"email": "a@b\r\nBcc: c@example.com"}, 400),
        ({"role": "no-such-role"}, 400),
        ({"days": 0}, 400),
        ({"days": 31}, 400),
        ({"send": True}, 400),
        ({"language": "fr"}, 400),
        ({"email": "owner@acme.example"}, 409),
    ],
)
def test_what_is_no_invitation_is_refused(owner_api: APIClient, body: dict[str, Any], status: int) -> None:
    answer = invite(owner_api, **body)
    assert answer.status_code in ({400, 404} if "role" in body else {status})


def test_one_link_lets_one_in_whoever_comes_at_once(owner: Person, owner_api: APIClient) -> None:
    text = token(invite(owner_api))
    start, found = threading.Barrier(4), []

    def go() -> None:
        try:
            start.wait(10)
            found.append(accept(APIClient(), text, password=CHOSEN).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found.count(200) == 1
    assert set(found) <= {200, 404, 409}
    assert User.objects.filter(email=NEW).count() == 1


def test_a_weak_password_is_refused_at_its_field_and_the_link_still_works(owner_api: APIClient) -> None:
    text = token(invite(owner_api))
    for password in ({"password": "short"}, {}):
        assert "password" in accept(APIClient(), text, **password).json()["fields"]
    assert accept(APIClient(), text, password=CHOSEN).status_code == 200


def test_another_site_accepts_nothing_for_somebody(owner_api: APIClient) -> None:
    text = token(invite(owner_api))
    browser = APIClient(enforce_csrf_checks=True)
    assert accept(browser, text, password=CHOSEN).status_code == 403
    assert browser.post(f"{INVITATIONS}/open", {"token": text}, format="json").status_code == 403


def test_it_goes_by_mail_where_there_is_mail(owner: Person, owner_api: APIClient, settings: Settings) -> None:
    with taking() as sink:
        settings.MAIL = sink.server()
        made = invite(owner_api, send=True, language="de")
        assert made.json()["by_mail"] is True
        assert send_due() == 1
    [message] = sink.taken
    assert message["To"] == NEW
    assert "lädt Sie zu Acme" in str(message["Subject"])
    text = next(part for part in message.walk() if part.get_content_type() == "text/plain").get_content()
    assert made.json()["link"] in text


def test_nobody_is_sent_letters_without_end(
    owner_api: APIClient, stranger_api: APIClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each invitation takes the place of the one before it, so that their number bounds no letters."""
    monkeypatch.setitem(throttle.PACES, "mail_to", throttle.AttemptPace(2, 3600.0))
    with taking() as sink:
        settings.MAIL = sink.server()
        assert [invite(owner_api, NEW, send=True).status_code for _ in range(2)] == [201, 201]
        for api in (owner_api, stranger_api):
            assert invite(api, NEW.upper(), send=True).status_code == 429, "whoever asks for it"
        assert invite(owner_api, NEW).status_code == 201, "its link may be given by hand"
        assert invite(owner_api, "another@example.com", send=True).status_code == 201
        monkeypatch.setitem(throttle.PACES, "invite", throttle.AttemptPace(3, 3600.0))
        assert invite(owner_api, "third@example.com", send=True).status_code == 429
        send_due()
        assert len(sink.taken) == 3
