"""How the protocol behaves: tokens, filters, pages, versions, bulk, and requests that are none."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.tenant import set_tenant_suspended
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Forbidden
from ollamamax.provisioning.actions.token import issue_token, revoke_token, rotate_token
from ollamamax.provisioning.models import ScimToken
from ollamamax.provisioning.protocol import search
from ollamamax.sso.actions.provider import change_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import IdentityProvider
from tests.cast import SYSTEM, Person, make_person
from tests.provisioning.conftest import Directory

pytestmark = pytest.mark.django_db
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def test_a_token_is_shown_once_kept_as_a_hash_rotated_with_overlap_and_refused_once_revoked(
    scim: Directory, owner: Person
) -> None:
    with tenant_scope(scim.tenant):
        first = ScimToken.objects.get()
    second, text = rotate_token(acting=owner.acting, provider_id=scim.provider.pk, token_id=first.pk, overlap_hours=1)
    rotated = Directory(text, scim.tenant, scim.provider)
    assert (scim.ask("GET", "/Users").status_code, rotated.ask("GET", "/Users").status_code) == (200, 200)
    with tenant_scope(scim.tenant):
        ScimToken.objects.filter(pk=first.pk).update(expires_at=timezone.now())
        assert ScimToken.objects.get(pk=second.pk).used_at is not None
    assert scim.ask("GET", "/Users").status_code == 401
    revoke_token(acting=owner.acting, provider_id=scim.provider.pk, token_id=second.pk)
    refused = rotated.ask("GET", "/Users")
    assert (refused.status_code, refused["Content-Type"]) == (401, "application/scim+json")
    assert refused["WWW-Authenticate"].startswith("Bearer")
    trail = str([(each.action, each.detail) for each in opened(AuditRecord.objects.all())])
    assert all(f"scim.{each}_token" in trail for each in ("issue", "rotate", "revoke"))
    assert not any(each[22:] in trail + str(vars(first)) for each in (scim.token, text))


def test_a_token_of_a_provider_that_is_off_or_of_a_suspended_tenant_is_refused(scim: Directory, owner: Person) -> None:
    change_provider(acting=owner.acting, provider_id=scim.provider.pk, enabled=False)
    assert scim.ask("GET", "/Users").status_code == 401
    change_provider(acting=owner.acting, provider_id=scim.provider.pk, enabled=True)
    assert scim.ask("GET", "/Users").status_code == 200
    set_tenant_suspended(acting=SYSTEM, tenant_id=scim.tenant.pk, suspended=True)
    assert scim.ask("GET", "/Users").status_code == 401


@pytest.mark.parametrize(
    "token", ["", "omxs_x", "omx_aaaaaaaaaaaaaaaa_" + "b" * 43, "omxs_aaaaaaaaaaaaaaaa_" + "b" * 43]
)
def test_what_is_no_token_is_refused(scim: Directory, token: str) -> None:
    other = Directory(token, scim.tenant, scim.provider)
    for method, path in (("GET", "/Users"), ("POST", "/Bulk"), ("GET", "/ServiceProviderConfig"), ("GET", "/nothing")):
        assert other.ask(method, path).status_code == 401


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [each["userName"] for each in answer.json().get("Resources", [])]


def test_filters_hold_for_the_same_users_whether_an_index_narrows_them_or_not(scim: Directory) -> None:
    for number in range(6):
        scim.create(
            f"user{number}",
            externalId=f"e{number}",
            active=number % 2 == 0,
            title="Poet" if number < 3 else None,
            emails=[{"value": f"u{number}@x.example", "type": "work"}],
        )
    for wanted, found in {
        'userName eq "USER1"': [1],
        'userName eq "user1" or userName eq "user2"': [1, 2],
        'externalId eq "e3" and active eq false': [3],
        "active eq true": [0, 2, 4],
        "not (active eq true)": [1, 3, 5],
        'userName sw "user" and title pr': [0, 1, 2],
        'emails[type eq "work" and value co "u5@"]': [5],
        'userName eq "none"': [],
        'title eq "poet" and (userName ew "0" or userName ew "5")': [0],
        'id eq "no id"': [],
        'meta.created gt "2000-01-01T00:00:00Z" and userName gt "user3"': [4, 5],
    }.items():
        answer = scim.ask("GET", f"/Users?{_query(filter=wanted, sortBy='userName')}")
        assert names(answer) == [f"user{each}" for each in found], wanted
        assert answer.json()["totalResults"] == len(found)
    for bad in ("userName", "userName eq", 'nothing eq "x"', '"', "(" * 500, "active gt true"):
        assert scim.ask("GET", f"/Users?{_query(filter=bad)}").status_code == 400, bad


def test_pages_follow_each_other_and_order_is_kept(scim: Directory) -> None:
    for number in range(5):
        scim.create(f"user{number}")
    pages = [names(scim.ask("GET", f"/Users?startIndex={start}&count=2")) for start in (1, 3, 5, 7)]
    assert pages == [["user0", "user1"], ["user2", "user3"], ["user4"], []]
    down = scim.ask("GET", "/Users?sortBy=userName&sortOrder=descending&count=3")
    assert names(down) == ["user4", "user3", "user2"]
    assert down.json()["totalResults"] == 5


def test_a_change_by_an_old_version_is_refused(scim: Directory) -> None:
    made = scim.create("ada")
    path, first = f"/Users/{made['id']}", made["meta"]["version"]
    change = {"op": "replace", "path": "title", "value": "Poet"}
    assert scim.patch(path, change, if_match=first).status_code in {200, 204}
    assert scim.patch(path, change | {"value": "Count"}, if_match=first).status_code == 412
    now = scim.ask("GET", path)
    assert (now.json()["title"], now["ETag"]) == ("Poet", 'W/"2"')
    assert scim.ask("GET", path, if_none_match='W/"2"').status_code == 304
    assert scim.ask("DELETE", path, if_match=first).status_code == 412


def test_of_a_bulk_request_each_operation_stands_alone_and_may_name_what_another_makes(scim: Directory) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@acme.example"}
    group = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Engineers"}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": user},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": user},
        {"method": "POST", "path": "/Groups", "bulkId": "c", "data": group | {"members": [{"value": "bulkId:a"}]}},
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = scim.ask("POST", "/Bulk", body).json()["Operations"]
    assert [str(each["status"]) for each in answer] == ["201", "409", "201"]
    assert scim.membership("ada@acme.example") is not None
    assert len(scim.ask("GET", "/Groups").json()["Resources"][0]["members"]) == 1
    assert scim.ask("POST", "/Bulk", body | {"Operations": operations * 100}).status_code == 413


def test_whatever_is_sent_is_answered_and_never_with_a_fault_of_ours(scim: Directory) -> None:
    made = scim.create("ada")
    rng = random.Random(17)
    values: list[Any] = [
        None,
        True,
        0,
        1e400,
        10**40,
        "",
        "\0",
        "\ud800",
        "x" * 70_000,
        [],
        {},
        [[]],
        {"value": {}},
        "bulkId:x",
    ]
    paths = [
        "active",
        "userName",
        "emails",
        'emails[type eq "work"].value',
        "name.givenName",
        "members",
        "id",
        "",
        "[",
        "groups",
    ]
    for _ in range(150):
        path, value = rng.choice(paths), rng.choice(values)
        operation = {"op": rng.choice(["add", "replace", "remove", "Add", "x", 1]), "path": path, "value": value}
        assert scim.patch(f"/Users/{made['id']}", operation).status_code in {200, 204, 400, 409, 413}, operation
    bodies: list[Any] = [
        None,
        [],
        "x",
        {"schemas": "x"},
        {"userName": {"a": 1}},
        {"schemas": [], "userName": "é" * 300},
    ]
    for body in bodies:
        assert scim.ask("POST", "/Users", body).status_code == 400, body
    assert scim.ask("POST", "/Users", {"x": "y" * 1_100_000}).status_code == 413
    assert scim.ask("GET", "/Users?count=-5&startIndex=-1").status_code in {200, 400}
    assert scim.ask("GET", "/Users?count=99999999999999999999").status_code in {200, 400}


def test_only_who_manages_single_sign_on_makes_tokens_and_of_their_own_providers(
    scim: Directory, member: Person, stranger: Person
) -> None:
    for who in (member, stranger):
        with pytest.raises(Exception, match=r"needs the permission|no such identity provider"):
            issue_token(acting=who.acting, provider_id=scim.provider.pk, name="x")


def test_a_filter_costs_what_is_bounded_however_it_is_made(scim: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        scim.create(f"user{number}")
    monkeypatch.setattr(search, "MOST_COMPARISONS", 30)
    term = 'title eq "x"'
    shapes: list[Callable[[int], str]] = [
        lambda n: " or ".join([term] * n),
        lambda n: " and ".join([term] * n),
        lambda n: " or ".join([f"not ({term})"] * n),
        lambda n: " or ".join(["emails[" + " and ".join(['type eq "x"'] * 2) + "]"] * (n // 2)),
        lambda n: " or ".join([f"({term} and title pr)"] * (n // 2)),
    ]
    for shape in shapes:
        for count, status in ((10, 200), (20, 400), (600, 400)):
            assert scim.ask("GET", f"/Users?{_query(filter=shape(count))}").status_code == status, shape(count)
    long = " or ".join([term] * 2000)
    bodies = [
        scim.ask("POST", "/.search", {"schemas": [SEARCH], "filter": long}),
        scim.ask("GET", f"/Users?{_query(filter=long)}"),
        scim.patch("/Users/x", {"op": "remove", "path": f"emails[{long}]"}),
        scim.ask("POST", "/Bulk", {"Operations": [{"data": {"Operations": [{"Path": f"emails[{long}]"}]}}]}),
    ]
    assert {(each.status_code, each.json().get("scimType")) for each in bodies} == {(400, "invalidFilter")}


def test_who_says_who_is_in_which_group_may_give_all_roles_that_groups_give(
    owner: Person, scim: Directory, provider: IdentityProvider
) -> None:
    create_role(acting=owner.acting, slug="sso", name="SSO", permissions=["sso.manage", "sso.view"])
    narrow = make_person(owner.tenant, "narrow", "sso")
    with tenant_scope(owner.tenant):
        token = ScimToken.objects.get()
    acts: tuple[Callable[[], Any], ...] = (
        lambda: issue_token(acting=narrow.acting, provider_id=provider.pk, name="mine"),
        lambda: rotate_token(acting=narrow.acting, provider_id=provider.pk, token_id=token.pk, overlap_hours=1),
    )
    for act in acts:  # the provider's default role is one that they lack
        with pytest.raises(Forbidden):
            act()
    change_provider(acting=owner.acting, provider_id=provider.pk, default_role="sso")
    assert [act() for act in acts]
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=[Rule("groups", "admins", "admin")])
    for act in acts:
        with pytest.raises(Forbidden):
            act()


def _query(**values: str) -> str:
    return urlencode(values)
