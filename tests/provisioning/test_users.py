"""People that a directory tells of: accounts, memberships and roles that follow, and that whoever is out is out."""

from __future__ import annotations

import pytest

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.directory import known_keys
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.sso.actions.enforcement import mark_account
from ollamamax.sso.actions.provider import change_provider, create_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import IdentityProvider
from tests.cast import PASSWORD, SYSTEM, Person, make_key
from tests.provisioning.conftest import Directory, directory_for
from tests.sso.conftest import Browser, set_up, why
from tests.sso.provider import FakeProvider

pytestmark = pytest.mark.django_db

ADA = "ada@acme.example"
OFF = {"op": "replace", "path": "active", "value": False}
ON = {"op": "replace", "path": "active", "value": True}


def key_of(scim: Directory, email: str) -> str:
    """A key that this member made, as the gateways know it: its identifier."""
    user = User.objects.get(email=email)
    change_member(acting=SYSTEM, tenant=scim.tenant, user_id=user.pk, role="member")
    return make_key(
        Person(user, scim.tenant, principal_of(user, tenants_of(user)[0])), permissions=["model.view"]
    ).row.identifier


def test_who_the_directory_tells_of_logs_in_and_is_refused_once_it_calls_them_inactive(
    scim: Directory, provider: IdentityProvider, at_fake: Browser
) -> None:
    made = scim.create(ADA, name={"givenName": "Ada", "familyName": "L"}, password="never kept")
    assert "password" not in made
    member = scim.membership(ADA)
    assert member is not None
    assert (member.role.slug, member.source, member.state, member.user.name) == ("viewer", "scim", "active", "Ada L")
    assert not member.user.has_usable_password()
    assert "never kept" not in str(scim.row(made).resource)

    at_fake.log_in(provider)
    assert at_fake.email() == ADA
    assert User.objects.filter(email=ADA).count() == 1
    key = key_of(scim, ADA)
    assert key in known_keys()

    assert scim.patch(f"/Users/{made['id']}", OFF).status_code in {200, 204}
    assert at_fake.client.get("/api/v1/models").status_code == 403
    assert key not in known_keys()
    assert why(at_fake.log_in(provider)) == "suspended"

    scim.patch(f"/Users/{made['id']}", ON)
    at_fake.log_in(provider)
    assert at_fake.client.get("/api/v1/models").status_code == 200
    assert key in known_keys()


def test_who_was_removed_comes_back_only_by_the_directory_and_with_the_account_of_before(
    scim: Directory, provider: IdentityProvider, at_fake: Browser
) -> None:
    made = scim.create(ADA)
    at_fake.log_in(provider)
    user = User.objects.get(email=ADA)
    key = key_of(scim, ADA)
    assert scim.ask("DELETE", f"/Users/{made['id']}").status_code == 204
    assert scim.ask("GET", f"/Users/{made['id']}").status_code == 404
    assert at_fake.client.get("/api/v1/models").status_code == 403
    assert key not in known_keys()
    assert why(at_fake.log_in(provider)) == "not_provisioned"

    again = scim.create(ADA.upper())
    assert again["id"] != made["id"]
    at_fake.log_in(provider)
    assert at_fake.email() == ADA
    assert User.objects.get(email=ADA).pk == user.pk


def test_nobody_logs_in_whom_the_directory_has_not_told_of(
    scim: Directory, provider: IdentityProvider, at_fake: Browser
) -> None:
    assert why(at_fake.log_in(provider)) == "not_provisioned"
    assert not User.objects.filter(email=ADA).exists()


@pytest.mark.parametrize(
    ("user_name", "emails", "waits"),
    [
        ("ada", [], "no_address"),
        ("ada@other.example", [], "foreign_domain"),
        ("ada", ["x@other.example"], "foreign_domain"),
    ],
)
def test_who_has_no_address_of_the_tenants_gets_no_account(
    scim: Directory, user_name: str, emails: list[str], waits: str
) -> None:
    made = scim.create(user_name, emails=[{"value": each} for each in emails])
    row = scim.row(made)
    assert (row.waits, row.membership) == (waits, None)
    assert not User.objects.filter(email__endswith="@other.example").exists()
    # Once the directory says an address of the tenant's, the account is there.
    scim.patch(f"/Users/{made['id']}", {"op": "add", "path": "emails", "value": [{"value": ADA, "primary": True}]})
    assert scim.membership(ADA) is not None


def test_the_directory_takes_no_account_that_others_made(scim: Directory, provider: IdentityProvider) -> None:
    """Whoever made an account under an address need not be who has it."""
    create_user(acting=SYSTEM, email=ADA, password=PASSWORD)
    row = scim.row(scim.create(ADA))
    assert (row.waits, row.membership) == ("address_taken", None)
    assert scim.membership(ADA) is None


def test_who_had_an_account_before_links_it_and_then_the_directory_has_them(
    scim: Directory, provider: IdentityProvider, at_fake: Browser
) -> None:
    create_user(acting=SYSTEM, email=ADA, password=PASSWORD)
    made = scim.create(ADA)
    assert at_fake.log_in(provider) == "/log-in-link"
    assert at_fake.client.post("/api/v1/sso/link", {"password": PASSWORD}, format="json").status_code == 204
    member = scim.membership(ADA)
    assert member is not None
    assert scim.row(made).membership == member
    scim.patch(f"/Users/{made['id']}", OFF)
    assert at_fake.client.get("/api/v1/models").status_code == 403


def test_a_member_of_before_keeps_the_role_and_is_suspended_with_the_rest(scim: Directory, owner: Person) -> None:
    user = create_user(acting=SYSTEM, email=ADA, password=PASSWORD)
    add_member(acting=SYSTEM, tenant=scim.tenant, user=user, role="developer")
    made = scim.create(ADA)
    member = scim.membership(ADA)
    assert member is not None
    assert (member.role.slug, member.source) == ("developer", "local")
    scim.patch(f"/Users/{made['id']}", OFF)
    member.refresh_from_db()
    assert member.state == "suspended"


def test_what_was_decided_here_by_hand_stays(scim: Directory, owner: Person) -> None:
    made = scim.create(ADA)
    user = User.objects.get(email=ADA)
    change_member(acting=owner.acting, tenant=scim.tenant, user_id=user.pk, state="suspended")
    scim.patch(f"/Users/{made['id']}", OFF)
    scim.patch(f"/Users/{made['id']}", ON)
    member = scim.membership(ADA)
    assert member is not None
    assert member.state == "suspended"
    remove_member(acting=owner.acting, tenant=scim.tenant, user=user)
    scim.patch(f"/Users/{made['id']}", {"op": "replace", "path": "title", "value": "Countess"})
    assert (scim.membership(ADA), scim.row(made).waits) == (None, "kept_out")


def test_the_last_owner_and_break_glass_accounts_are_not_the_directorys_to_take(scim: Directory, owner: Person) -> None:
    made = scim.create(owner.email)
    assert scim.patch(f"/Users/{made['id']}", OFF).status_code == 409
    assert scim.ask("DELETE", f"/Users/{made['id']}").status_code == 409
    member = scim.membership(owner.email)
    assert member is not None
    mark_account(acting=owner.acting, membership_id=member.pk)
    assert scim.patch(f"/Users/{made['id']}", OFF).status_code in {200, 204}
    assert scim.ask("DELETE", f"/Users/{made['id']}").status_code == 204
    member.refresh_from_db()
    assert (member.state, member.role.slug) == ("active", "owner")


def test_groups_give_roles_by_the_providers_rules_at_once(scim: Directory, owner: Person) -> None:
    rules = [Rule("groups", "Engineers", "developer"), Rule("department", "Audit", "auditor")]
    change_provider(acting=owner.acting, provider_id=scim.provider.pk, rules=rules, default_role=None)
    made = scim.create(ADA)
    assert (scim.membership(ADA), scim.row(made).waits) == (None, "no_role")

    group = scim.create_group("Engineers", made)
    member = scim.membership(ADA)
    assert member is not None
    assert member.role.slug == "developer"
    assert scim.ask("GET", f"/Users/{made['id']}").json()["groups"][0]["display"] == "Engineers"

    scim.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": "Poets"})
    member.refresh_from_db()
    assert (member.state, member.withheld) == ("suspended", True)
    scim.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": "Engineers"})
    member.refresh_from_db()
    assert member.state == "active"
    # As Entra ID takes somebody out.
    gone = {"op": "Remove", "path": "members", "value": [{"value": made["id"]}]}
    assert scim.patch(f"/Groups/{group['id']}", gone).status_code in {200, 204}
    member.refresh_from_db()
    assert member.state == "suspended"
    more = {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "Audit"}
    assert scim.patch(f"/Users/{made['id']}", {"op": "add", "value": more}).status_code in {200, 204}
    member = scim.membership(ADA)
    assert member is not None
    assert (member.role.slug, member.state) == ("auditor", "active")


def test_a_directory_sees_and_changes_nothing_of_anothers(
    scim: Directory, owner: Person, stranger: Person, fake: FakeProvider
) -> None:
    made = scim.create(ADA)
    group = scim.create_group("Engineers", made)
    second = create_provider(acting=owner.acting, name="Second", issuer=fake.issuer, client_id="second")
    others = [directory_for(stranger, set_up(stranger, fake)), directory_for(owner, second)]
    for other in others:
        assert other.ask("GET", "/Users").json()["totalResults"] == 0
        for path in (f"/Users/{made['id']}", f"/Groups/{group['id']}"):
            assert other.ask("GET", path).status_code == 404
            assert other.patch(path, OFF).status_code in {400, 404}
            assert other.ask("DELETE", path).status_code == 404
        answer = other.ask(
            "POST", "/Groups", {"schemas": group["schemas"], "displayName": "x", "members": [{"value": made["id"]}]}
        )
        assert answer.status_code == 400
    assert scim.membership(ADA) is not None


def test_every_change_is_in_the_audit_trail_without_what_was_said(scim: Directory) -> None:
    made = scim.create(ADA, title="a very private title")
    scim.patch(f"/Users/{made['id']}", OFF)
    scim.ask("DELETE", f"/Users/{made['id']}")
    found = opened(AuditRecord.objects.filter(actor_id__startswith="scim:").order_by("seq"))
    records = [(each.action, each.detail) for each in found]
    assert [action for action, _ in records] == [
        "user.create", "member.add", "scim.create_user", "member.change", "scim.change_user", "member.remove", "scim.remove_user",
    ]  # fmt: skip
    assert "private" not in str(records)
