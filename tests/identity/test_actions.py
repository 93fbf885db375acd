"""Identity's actions: what they refuse, what they write, and the one audit record of each."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.audit.verify import verify
from ollamamax.identity.actions.bootstrap import bootstrap_installation
from ollamamax.identity.actions.key import change_key, issue_key, revoke_key
from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.actions.tenant import (
    change_own_tenant,
    change_tenant,
    create_tenant,
    make_operator,
    set_tenant_suspended,
)
from ollamamax.identity.actions.user import change_password, create_user, set_user_active
from ollamamax.identity.keys import make_key, matches, parse_key
from ollamamax.identity.models import ApiKey, Membership, Tenant, User
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import tenants_of
from ollamamax.identity.roles import OPERATOR_ONLY, PERMISSIONS, SYSTEM_ROLES
from ollamamax.identity.scope import ScopeError, current_tenant, every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import system
from tests.cast import PASSWORD, SYSTEM, Key, Person, make_person

pytestmark = pytest.mark.django_db


def written(act: Callable[[], Any]) -> list[tuple[str, str]]:
    """Chain and action of the audit records that ``act`` wrote."""
    last = AuditRecord.objects.order_by("-id").values_list("id", flat=True).first() or 0
    act()
    return list(AuditRecord.objects.filter(id__gt=last).order_by("id").values_list("chain", "action"))


def test_each_action_writes_exactly_one_audit_record(
    tenant: Tenant, owner: Person, member: Person, owner_key: Key
) -> None:
    user = create_user(acting=SYSTEM, email="new@acme.example", password=PASSWORD)
    acts: list[tuple[Callable[[], Any], str, str]] = [
        (lambda: create_tenant(acting=SYSTEM, slug="other", name="Other"), "system", "tenant.create"),
        (lambda: create_user(acting=SYSTEM, email="a@b.example", password=PASSWORD), "system", "user.create"),
        (
            lambda: add_member(acting=owner.acting, tenant=tenant, user=user, role="viewer"),
            tenant.id.hex,
            "member.add",
        ),
        (lambda: remove_member(acting=owner.acting, tenant=tenant, user=user), tenant.id.hex, "member.remove"),
        (lambda: set_user_active(acting=SYSTEM, user_id=user.id, active=False), "system", "user.deactivate"),
        (lambda: set_user_active(acting=SYSTEM, user_id=user.id, active=True), "system", "user.activate"),
        (
            lambda: change_password(acting=SYSTEM, user_id=user.id, password="another-" + PASSWORD),
            "system",
            "user.change_password",
        ),
        (lambda: set_tenant_suspended(acting=SYSTEM, tenant_id=tenant.id, suspended=True), "system", "tenant.suspend"),
        (lambda: set_tenant_suspended(acting=SYSTEM, tenant_id=tenant.id, suspended=False), "system", "tenant.resume"),
        (
            lambda: change_member(acting=owner.acting, tenant=tenant, user_id=member.user.id, state="suspended"),
            tenant.id.hex,
            "member.change",
        ),
        (lambda: issue_key(acting=owner.acting, name="x"), tenant.id.hex, "key.issue"),
        (
            lambda: change_key(acting=owner.acting, key_id=owner_key.row.id, name="y", limits={"tokens_per_minute": 5}),
            tenant.id.hex,
            "key.change",
        ),
        (lambda: change_own_tenant(acting=owner.acting, name="Acme Ltd"), tenant.id.hex, "tenant.change"),
        (lambda: make_operator(acting=SYSTEM, tenant_id=tenant.id), "system", "tenant.make_operator"),
        (lambda: change_tenant(acting=SYSTEM, tenant_id=tenant.id, weight=2.0), tenant.id.hex, "tenant.govern"),
        (lambda: revoke_key(acting=owner.acting, key_id=owner_key.row.id), tenant.id.hex, "key.revoke"),
    ]
    for act, chain, action in acts:
        assert written(act) == [(chain, action)]


def test_what_changes_nothing_writes_nothing(owner: Person, owner_key: Key) -> None:
    revoke_key(acting=owner.acting, key_id=owner_key.row.id)
    assert written(lambda: revoke_key(acting=owner.acting, key_id=owner_key.row.id)) == []
    assert written(lambda: change_own_tenant(acting=owner.acting, name=owner.tenant.name, show_route=True)) == []
    assert written(lambda: change_tenant(acting=SYSTEM, tenant_id=owner.tenant.id, weight=1.0)) == []
    make_operator(acting=SYSTEM, tenant_id=owner.tenant.id)
    assert written(lambda: make_operator(acting=SYSTEM, tenant_id=owner.tenant.id)) == []


def test_an_audit_record_tells_who_and_what_and_no_secret(owner: Person) -> None:
    key, text = issue_key(acting=owner.acting, name="ci")
    [record] = opened([AuditRecord.objects.get(action="key.issue", target_id=key.id.hex)])
    assert (record.actor_kind, record.actor_id, record.actor_name) == ("user", owner.user.id.hex, owner.email)
    assert record.detail["identifier"] == key.identifier
    parsed = parse_key(text)
    assert parsed is not None
    assert parsed[1] not in str(record.detail)
    assert key.secret_hash not in str(record.detail)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a_b", "a b", "x" * 64, "ä", "a\n"])
def test_a_slug_has_a_form(slug: str) -> None:
    with pytest.raises(InvalidRequest):
        create_tenant(acting=SYSTEM, slug=slug, name="x")


def test_a_tenant_is_made_once_and_by_the_system_only(tenant: Tenant, owner: Person) -> None:
    with pytest.raises(Conflict):
        create_tenant(acting=SYSTEM, slug=tenant.slug, name="x")
    with pytest.raises(Forbidden):
        create_tenant(acting=owner.acting, slug="mine", name="x")
    with pytest.raises(Forbidden):
        create_user(acting=owner.acting, email="x@acme.example", password=PASSWORD)
    with pytest.raises(InvalidRequest):
        create_tenant(acting=SYSTEM, slug="fine", name=" ")


@pytest.mark.parametrize("email", ["", "x", "x@", "@y", "x@y z", "x" * 250 + "@y.example"])
def test_an_email_address_has_a_form(email: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create_user(acting=SYSTEM, email=email, password=PASSWORD)
    assert caught.value.fields["param"] == "email"


@pytest.mark.parametrize("password", ["", "short", "password1234", "new.person@acme"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create_user(acting=SYSTEM, email="new.person@acme.example", password=password)
    assert caught.value.fields["param"] == "password"


def test_a_password_is_kept_as_argon2_and_an_address_is_unique_in_every_case() -> None:
    user = create_user(acting=SYSTEM, email="Some.One@acme.example", password=PASSWORD)
    assert user.password.startswith("argon2$argon2id$")
    assert PASSWORD not in user.password
    with pytest.raises(Conflict):
        create_user(acting=SYSTEM, email="some.one@ACME.example", password=PASSWORD)


def test_nobody_gives_a_role_that_may_more_than_they_may(
    tenant: Tenant, owner: Person, member: Person, stranger: Person
) -> None:
    user = create_user(acting=SYSTEM, email="new@acme.example", password=PASSWORD)
    with pytest.raises(Forbidden):
        add_member(acting=member.acting, tenant=tenant, user=user, role="viewer")
    with pytest.raises(NotFound):
        add_member(acting=stranger.acting, tenant=tenant, user=user, role="viewer")
    with pytest.raises(InvalidRequest):
        add_member(acting=owner.acting, tenant=tenant, user=user, role="god")
    from tests.cast import make_person

    admin = make_person(tenant, "admin", "admin")
    with pytest.raises(Forbidden):
        add_member(acting=admin.acting, tenant=tenant, user=user, role="owner")
    add_member(acting=admin.acting, tenant=tenant, user=user, role="admin")
    with pytest.raises(Conflict):
        add_member(acting=owner.acting, tenant=tenant, user=user, role="viewer")


def test_a_key_needs_a_tenant_a_name_and_permissions_that_its_maker_has(owner: Person, viewer: Person) -> None:
    wrong: list[dict[str, Any]] = [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "x", "permissions": []},
        {"name": "x", "permissions": ["root"]},
        {"name": "x", "expires_at": timezone.now() - datetime.timedelta(seconds=1)},
    ]
    for given in wrong:
        with pytest.raises(InvalidRequest):
            issue_key(acting=owner.acting, **given)
    with pytest.raises(InvalidRequest):
        issue_key(acting=system("loop"), name="x")
    with pytest.raises(Forbidden):
        issue_key(acting=viewer.acting, name="x")


def test_a_stranger_revokes_nothing(stranger: Person, owner_key: Key) -> None:
    with pytest.raises(NotFound):
        revoke_key(acting=stranger.acting, key_id=owner_key.row.id)
    with pytest.raises(NotFound):
        revoke_key(acting=stranger.acting, key_id=uuid.uuid4())
    assert find_principal(owner_key.text) is not None


def test_a_principal_of_a_key_has_what_the_key_has(owner_key: Key, inference_key: Key) -> None:
    principal = find_principal(owner_key.text)
    assert principal is not None
    assert principal.permissions == PERMISSIONS - OPERATOR_ONLY
    principal = find_principal(inference_key.text)
    assert principal is not None
    assert principal.permissions == {"inference.use", "model.view"}
    assert find_principal("nonsense") is None


def test_rows_of_a_tenant_cannot_be_read_outside_a_scope(owner_key: Key, stranger_key: Key) -> None:
    for forgotten in (
        lambda: list(ApiKey.objects.all()),
        lambda: ApiKey.objects.filter(pk=owner_key.row.id).first(),
        lambda: ApiKey.objects.count(),
        lambda: ApiKey.objects.update(name="x"),
        lambda: list(Membership.objects.all()),
        current_tenant,
    ):
        with pytest.raises(ScopeError):
            forgotten()
    with tenant_scope(owner_key.row.tenant_id):
        assert [k.id for k in ApiKey.objects.all()] == [owner_key.row.id]
        assert current_tenant() == owner_key.row.tenant_id
        with tenant_scope(stranger_key.row.tenant):
            assert [k.id for k in ApiKey.objects.all()] == [stranger_key.row.id]
        assert [k.id for k in ApiKey.objects.all()] == [owner_key.row.id]
        with every_tenant():
            assert ApiKey.objects.count() == 2
            with pytest.raises(ScopeError):
                current_tenant()
    wrong: Any
    for wrong in (None, "", "x", []):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            tenant_scope(wrong)


def test_bootstrap_makes_what_is_missing_and_repeats_without_harm() -> None:
    def start() -> tuple[Tenant, User, str | None]:
        return bootstrap_installation(acting=SYSTEM, email="admin@localhost.example", password=PASSWORD)

    tenant, user, text = start()
    assert text is not None
    assert tenant.is_operator
    principal = find_principal(text)
    assert principal is not None
    assert principal.tenant == tenant.id.hex
    assert principal.permissions == PERMISSIONS
    assert user.check_password(PASSWORD)
    assert written(start) == []
    assert start() == (tenant, user, None)
    with tenant_scope(tenant):
        key = ApiKey.objects.get()
    assert key.created_by_id == user.id


def test_bootstrap_goes_on_after_it_was_interrupted() -> None:
    create_tenant(acting=SYSTEM, slug="default", name="Default")
    create_user(acting=SYSTEM, email="admin@localhost.example", password=PASSWORD)
    tenant, user, text = bootstrap_installation(
        acting=SYSTEM, email="Admin@localhost.example", password="another-password-1"
    )
    assert text is not None
    assert user.check_password(PASSWORD)
    with tenant_scope(tenant):
        assert Membership.objects.get().role.slug == "owner"


def test_bootstrap_leaves_an_operator_that_there_is(operator: Person) -> None:
    tenant, user, _ = bootstrap_installation(acting=SYSTEM, email="admin@localhost.example", password=PASSWORD)
    assert not tenant.is_operator
    assert "tenant.manage" not in tenants_of(user)[0].permissions


def test_there_is_one_operator_and_the_system_names_it(operator: Person, owner: Person) -> None:
    with pytest.raises(Conflict):
        make_operator(acting=SYSTEM, tenant_id=owner.tenant.id)
    with pytest.raises(NotFound):
        make_operator(acting=SYSTEM, tenant_id=uuid.uuid4())
    with pytest.raises(Forbidden):
        make_operator(acting=operator.acting, tenant_id=operator.tenant.id)


def test_what_is_the_operators_alone_counts_in_no_other_tenant(owner: Person, operator: Person) -> None:
    """Not by a role, not in a key that was made with it, and not for whoever says that they have it."""
    assert "tenant.manage" in SYSTEM_ROLES["owner"] & SYSTEM_ROLES["admin"] & operator.acting.permissions
    assert "tenant.manage" not in owner.acting.permissions | SYSTEM_ROLES["member"] | SYSTEM_ROLES["viewer"]
    with pytest.raises(Forbidden):
        issue_key(acting=owner.acting, name="x", permissions=["tenant.manage"])
    _, text = issue_key(acting=system("x", owner.tenant.id.hex), name="x", permissions=["tenant.manage", "key.view"])
    found = find_principal(text)
    assert found is not None
    assert found.permissions == {"key.view"}
    impostor = msgspec.structs.replace(owner.acting, permissions=PERMISSIONS)
    acts: list[Callable[[], Tenant]] = [
        lambda: create_tenant(acting=impostor, slug="mine", name="Mine"),
        lambda: change_tenant(acting=impostor, tenant_id=owner.tenant.id, weight=1000.0),
        lambda: change_tenant(
            acting=msgspec.structs.replace(impostor, tenant=None), tenant_id=owner.tenant.id, weight=1000.0
        ),
    ]
    for act in acts:
        with pytest.raises(Forbidden):
            act()


def test_an_owner_still_makes_owners(owner: Person, operator: Person) -> None:
    for person in (owner, operator):
        user = create_user(acting=SYSTEM, email=f"new@{person.tenant.slug}.example", password=PASSWORD)
        assert add_member(acting=person.acting, tenant=person.tenant, user=user, role="owner").role.slug == "owner"


@pytest.mark.parametrize("weight", [0.0, -1.0, 1001.0, float("nan"), float("inf")])
def test_a_weight_has_a_range_which_the_database_keeps_too(tenant: Tenant, weight: float) -> None:
    with pytest.raises(InvalidRequest):
        change_tenant(acting=SYSTEM, tenant_id=tenant.id, weight=weight)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tenant.objects.filter(pk=tenant.id).update(weight=weight)


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 0}, {"concurrent_requests": 2**31}, {"speed": 1}])
def test_a_limit_has_a_name_and_a_range(tenant: Tenant, owner: Person, limits: dict[str, int | None]) -> None:
    with pytest.raises(InvalidRequest):
        change_tenant(acting=SYSTEM, tenant_id=tenant.id, limits=limits)
    with pytest.raises(InvalidRequest):
        issue_key(acting=owner.acting, name="x", limits=limits)


def test_keys_have_one_form_and_many_secrets() -> None:
    made = [make_key() for _ in range(100)]
    assert len({k.identifier for k in made}) == len({k.secret_hash for k in made}) == 100
    for key in made:
        identifier, secret = parse_key(key.text) or ("", "")
        assert identifier == key.identifier
        assert matches(secret, key.secret_hash)
        assert not matches(secret + "x", key.secret_hash)
        assert parse_key(key.text, "node") is None
        for broken in (key.text[:-1], key.text + "x", key.text + "\n", " " + key.text, key.text.upper(), ""):
            assert parse_key(broken) is None
    node = make_key("node")
    assert node.text.startswith("omxn_")
    assert parse_key(node.text, "node") is not None
    assert parse_key(node.text) is None


def test_roles_grow_from_viewer_to_owner() -> None:
    assert SYSTEM_ROLES["viewer"] < SYSTEM_ROLES["member"] < SYSTEM_ROLES["admin"]
    # Prompts are read by owners, and by whom they let.
    assert SYSTEM_ROLES["admin"] == PERMISSIONS - {"prompt.view"} < SYSTEM_ROLES["owner"] == PERMISSIONS


@pytest.mark.django_db(transaction=True)
def test_after_all_that_the_trail_is_whole(owner: Person, owner_key: Key, stranger_key: Key) -> None:
    revoke_key(acting=owner.acting, key_id=owner_key.row.id)
    assert list(verify()) == []


def test_a_member_is_removed_by_who_may_do_as_much_and_the_last_owner_stays(
    tenant: Tenant, owner: Person, member: Person, stranger: Person
) -> None:
    admin = make_person(tenant, "admin", "admin")
    with pytest.raises(Forbidden):
        remove_member(acting=member.acting, tenant=tenant, user=admin.user)
    with pytest.raises(Forbidden):
        remove_member(acting=admin.acting, tenant=tenant, user=owner.user)
    with pytest.raises(NotFound):
        remove_member(acting=stranger.acting, tenant=tenant, user=member.user)
    with pytest.raises(NotFound):
        remove_member(acting=owner.acting, tenant=tenant, user=stranger.user)
    with pytest.raises(Conflict, match="last owner"):
        remove_member(acting=owner.acting, tenant=tenant, user=owner.user)
    remove_member(acting=admin.acting, tenant=tenant, user=member.user)
    assert tenants_of(member.user) == []


def test_users_and_tenants_are_switched_off_by_those_above_them(owner: Person, operator: Person) -> None:
    with pytest.raises(Forbidden):
        set_user_active(acting=operator.acting, user_id=owner.user.id, active=False)
    with pytest.raises(Forbidden):
        set_tenant_suspended(acting=owner.acting, tenant_id=owner.tenant.id, suspended=True)
    with pytest.raises(Conflict, match="operator's tenant"):
        set_tenant_suspended(acting=operator.acting, tenant_id=operator.tenant.id, suspended=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tenant.objects.filter(is_operator=True).update(suspended_at=timezone.now())
    assert set_tenant_suspended(acting=operator.acting, tenant_id=owner.tenant.id, suspended=True).suspended_at
    with pytest.raises(Forbidden):
        change_password(acting=operator.acting, user_id=owner.user.id, password=PASSWORD + "x")
    change_password(acting=owner.acting, user_id=owner.user.id, password=PASSWORD + "x")
    assert User.objects.get(pk=owner.user.id).check_password(PASSWORD + "x")
