"""Setting single sign-on up by the management API: who may, what is shown of it, requiring it, and dry runs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.models import Membership
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import system
from ollamamax.sso.actions.domain import verify_domain
from ollamamax.sso.actions.enforcement import mark_account
from ollamamax.sso.actions.provider import change_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import IdentityProvider
from tests.cast import PASSWORD, Person, logged_in, make_person
from tests.sso.conftest import Browser
from tests.sso.provider import CLIENT, SECRET, FakeProvider

pytestmark = pytest.mark.django_db
PROVIDERS = "/api/v1/sso/providers"


def log_in(person: Person) -> tuple[int, APIClient]:
    api = APIClient()
    answer = api.post("/api/v1/session", {"email": person.email, "password": PASSWORD}, format="json")
    return answer.status_code, api


def member_id(person: Person) -> str:
    with tenant_scope(person.tenant):
        return str(Membership.objects.get(user=person.user).pk)


def test_a_provider_is_set_up_changed_and_deleted_and_its_secret_is_never_shown(
    owner_api: APIClient, member_api: APIClient, stranger_api: APIClient, fake: FakeProvider
) -> None:
    given: dict[str, Any] = {
        "name": "Login", "issuer": fake.issuer, "client_id": CLIENT, "client_secret": SECRET, "default_role": "viewer",
        "rules": [{"claim": "groups", "pattern": "ml-*", "role": "developer"}],
    }  # fmt: skip
    for api in (member_api, APIClient()):
        assert api.post(PROVIDERS, given, format="json").status_code in {401, 403}
    made = owner_api.post(PROVIDERS, given, format="json")
    assert made.status_code == 201, made.json()
    one = f"{PROVIDERS}/{made.json()['id']}"
    assert owner_api.post(PROVIDERS, given, format="json").status_code == 409
    read = owner_api.get(one)
    assert read.json()["has_secret"] is True
    assert read.json()["rules"] == given["rules"]
    assert read.json()["redirect_uri"].endswith(f"/auth/oidc/{made.json()['id']}/callback")
    assert [each["name"] for each in owner_api.get(PROVIDERS).json()["results"]] == ["Login"]
    for method in ("get", "delete"):
        assert getattr(stranger_api, method)(one).status_code == 404
    changed = owner_api.patch(
        one, {"client_secret": "another", "rules": []}, format="json", headers={"If-Match": read["ETag"]}
    )
    assert (changed.status_code, changed.json()["rules"]) == (200, [])
    assert (
        owner_api.patch(one, {"enabled": False}, format="json", headers={"If-Match": read["ETag"]}).status_code == 412
    )
    assert owner_api.delete(one).status_code == 204
    told = json.dumps([(each.action, each.detail) for each in opened(AuditRecord.objects.all())], default=str)
    assert SECRET not in told
    assert "another" not in told
    actions = set(AuditRecord.objects.values_list("action", flat=True))
    assert actions >= {"sso.create_provider", "sso.change_provider", "sso.delete_provider"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"issuer": "http://10.0.0.1"}, "issuer"),
        ({"issuer": "ftp://id.example"}, "issuer"),
        ({"issuer": "https://id.example?a=b"}, "issuer"),
        ({"issuer": "https://user:pw@id.example"}, "issuer"),
        ({"scopes": ["email"]}, "scopes"),
        ({"scopes": ["openid", "a b"]}, "scopes.1"),
        ({"default_role": "king"}, "role"),
        ({"rules": [{"claim": "groups", "pattern": "x", "role": "king"}]}, "role"),
        ({"rules": [{"claim": "groups"}]}, "rules.0.pattern"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_at_its_field(owner_api: APIClient, fake: FakeProvider, changed: Any, field: str) -> None:
    given = {"name": "Login", "issuer": fake.issuer, "client_id": CLIENT} | changed
    answer = owner_api.post(PROVIDERS, given, format="json")
    assert answer.status_code == 400, answer.json()
    assert field in answer.json()["fields"]


def test_nobody_has_rules_give_what_they_may_not_give(
    provider: IdentityProvider, tenant: Any, owner: Person, fake: FakeProvider
) -> None:
    from tests.cast import make_person

    api = logged_in(make_person(tenant, "admin", "admin"))
    one = f"{PROVIDERS}/{provider.pk}"
    for change in ({"default_role": "owner"}, {"rules": [{"claim": "sub", "pattern": "*", "role": "owner"}]}):
        assert api.patch(one, change, format="json").status_code == 403


def test_issuer_and_client_stay_once_somebody_is_known_by_them(
    provider: IdentityProvider, at_fake: Browser, owner_api: APIClient
) -> None:
    one = f"{PROVIDERS}/{provider.pk}"
    assert owner_api.patch(one, {"client_id": "other"}, format="json").status_code == 200
    assert owner_api.patch(one, {"client_id": CLIENT}, format="json").status_code == 200
    at_fake.log_in(provider)
    for change in ({"client_id": "other"}, {"issuer": "http://127.0.0.1:1"}):
        assert owner_api.patch(one, change, format="json").status_code == 409


def test_a_dry_run_shows_who_would_change_and_changes_nothing(
    provider: IdentityProvider, at_fake: Browser, fake: FakeProvider, owner: Person, owner_api: APIClient
) -> None:
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=[Rule("groups", "ml-*", "developer")])
    for name, groups in (("ada", ["ml-eu"]), ("bob", ["sales"]), ("eve", [])):
        fake.claims = {"sub": name, "email": f"{name}@acme.example", "groups": groups}
        at_fake.log_in(provider)
    one = f"{PROVIDERS}/{provider.pk}/dry-run"
    same = owner_api.post(one, {}, format="json").json()
    assert (same["known"], same["changed"]) == (3, 0)
    rules = [
        {"claim": "groups", "pattern": "sales", "role": "billing"},
        {"claim": "groups", "pattern": "*", "role": "member"},
    ]
    found = owner_api.post(one, {"rules": rules, "default_role": None}, format="json").json()
    assert (found["known"], found["changed"]) == (3, 3)
    shown = {each["email"][:3]: (each["role_now"], each["role_then"], each["rule"]) for each in found["changes"]}
    assert shown == {"ada": ("developer", "member", 1), "bob": ("viewer", "billing", 0), "eve": ("viewer", "", None)}
    with tenant_scope(owner.tenant):
        roles = Membership.objects.filter(source="oidc").order_by("created_at").values_list("role__slug", flat=True)
        assert list(roles) == ["developer", "viewer", "viewer"]


def test_a_test_shows_each_claim_and_makes_nothing(
    provider: IdentityProvider, fake: FakeProvider, owner: Person, viewer: Person
) -> None:
    browser = Browser(fake, logged_in(owner))
    one = f"{PROVIDERS}/{provider.pk}/test"
    assert browser.client.get(one).status_code == 404
    asked = browser.asked(browser.client.post(one).json()["url"])
    assert browser.back(provider, state=asked["state"], code="x").startswith(f"/single-sign-on/{provider.pk}")
    found = browser.client.get(one).json()
    assert found["claims"]["groups"] == ["staff"]
    assert (found["subject"], found["role"], found["why"]) == ("ada", "viewer", "")
    assert browser.email() == owner.email
    with tenant_scope(owner.tenant):
        assert not Membership.objects.filter(source="oidc").exists()
    fake.keys = []
    asked = browser.asked(browser.client.post(one).json()["url"])
    fake.make_token = lambda claims: "no token"
    browser.back(provider, state=asked["state"], code="x")
    assert browser.client.get(one).json()["why"] == "bad_token"
    assert logged_in(viewer).post(one).status_code == 403


def test_single_sign_on_is_required_of_all_but_break_glass_accounts(
    provider: IdentityProvider,
    at_fake: Browser,
    owner: Person,
    owner_api: APIClient,
    member: Person,
    member_api: APIClient,
) -> None:
    policy, accounts = "/api/v1/sso/policy", "/api/v1/sso/break-glass"

    def require(enforced: bool) -> int:
        return int(owner_api.patch(policy, {"enforced": enforced}, format="json").status_code)

    # Not before somebody has come by it, and somebody would still get in without.
    assert require(True) == 409
    at_fake.log_in(provider)
    assert require(True) == 409
    marked = owner_api.post(accounts, {"member": member_id(owner)}, format="json")
    assert marked.status_code == 201
    assert require(True) == 200
    assert (owner_api.get("/api/v1/keys").status_code, at_fake.client.get("/api/v1/keys").status_code) == (200, 200)
    # A session that began by a password acts no more, and another one does not begin.
    assert member_api.get("/api/v1/keys").status_code == 403
    status, _ = log_in(member)
    assert status == 403
    assert log_in(owner)[0] == 200
    assert AuditRecord.objects.filter(action="session.refuse_password").count() == 1
    # Nor are the last ways in taken away.
    one = f"{PROVIDERS}/{provider.pk}"
    assert owner_api.patch(one, {"enabled": False}, format="json").status_code == 409
    assert owner_api.delete(one).status_code == 409
    assert owner_api.delete(f"{accounts}/{marked.json()['id']}").status_code == 409
    # Nor by taking them from the one who has them, while another owner is there to do it.
    second = make_person(owner.tenant, "second", "owner")
    for change in (
        lambda: change_member(acting=second.acting, tenant=owner.tenant, user_id=owner.user.id, state="suspended"),
        lambda: change_member(acting=second.acting, tenant=owner.tenant, user_id=owner.user.id, role="admin"),
        lambda: remove_member(acting=second.acting, tenant=owner.tenant, user=owner.user),
    ):
        with pytest.raises(Conflict):
            change()
        assert log_in(owner)[0] == 200
    mark_account(acting=second.acting, membership_id=uuid.UUID(member_id(second)))
    remove_member(acting=second.acting, tenant=owner.tenant, user=owner.user)
    add_member(acting=second.acting, tenant=owner.tenant, user=owner.user, role="owner")
    assert log_in(owner)[0] == 403, "who comes back logs in as all others do"
    mark_account(acting=second.acting, membership_id=uuid.UUID(member_id(owner)))
    assert require(False) == 200
    assert member_api.get("/api/v1/keys").status_code == 200
    assert owner_api.delete(one).status_code == 204
    # Whoever came by a provider that is gone acts nowhere.
    assert at_fake.client.get("/api/v1/keys").status_code == 403


def test_doors_are_found_by_tenant_and_by_verified_domain(
    provider: IdentityProvider, anonymous_api: APIClient, owner: Person
) -> None:
    def doors(**given: str) -> list[str]:
        return [
            each["name"] for each in anonymous_api.post("/api/v1/sso/doors", given, format="json").json()["results"]
        ]

    assert doors(tenant="acme") == doors(email="Ada@ACME.example") == ["Login"]
    assert doors(tenant="nobody") == doors(email="x@evil.example") == doors(email="acme.example@") == []
    change_provider(acting=owner.acting, provider_id=provider.pk, enabled=False)
    assert doors(tenant="acme") == []
    assert anonymous_api.post("/api/v1/sso/doors", {}, format="json").status_code == 400


def test_a_domain_counts_once_it_is_verified_and_is_one_tenants(
    owner: Person, owner_api: APIClient, operator_api: APIClient
) -> None:
    domains = "/api/v1/sso/domains"
    for bad in ("", "localhost", "a b.example", "-a.example", "a..example", "über.example", "http://a.example"):
        assert owner_api.post(domains, {"domain": bad}, format="json").status_code == 400
    made = owner_api.post(domains, {"domain": "New.Example"}, format="json").json()
    assert (made["domain"], made["verified_at"]) == ("new.example", None)
    refused = owner_api.post(f"{domains}/{made['id']}/verify")
    assert refused.status_code == 400  # there is no such server
    # Whoever runs the installation is believed, for their own tenant's.
    theirs = operator_api.post(domains, {"domain": "new.example"}, format="json").json()
    assert operator_api.post(f"{domains}/{theirs['id']}/verify").json()["verified_at"] is not None
    assert operator_api.post(f"{domains}/{made['id']}/verify").status_code == 404
    with pytest.raises(Conflict, match="another tenant's"):
        verify_domain(acting=system("tests", owner.tenant.id.hex), domain_id=uuid.UUID(made["id"]))
