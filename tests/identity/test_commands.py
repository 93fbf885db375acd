"""`manage.py tenant` and `manage.py user`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.models import Tenant, User
from ollamamax.identity.queries.member import find_user, tenants_of
from tests.cast import Person

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue().strip()


def test_a_tenant_and_its_first_user_are_made() -> None:
    assert run("tenant", "create", "fresh", "--name", "Fresh Ltd") == str(Tenant.objects.get(slug="fresh").id)
    password = run("user", "create", "a@fresh.example", "--tenant", "fresh", "--role", "owner")
    user = find_user("A@fresh.example")
    assert user is not None
    assert user.check_password(password)
    assert [(p.slug, p.role) for p in tenants_of(user)] == [("fresh", "owner")]


def test_a_password_is_read_from_standard_input_and_not_printed(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("a-long-enough-pass\n"))
    assert run("user", "create", "b@acme.example", "--tenant", "acme", "--password-stdin") == ""
    user = find_user("b@acme.example")
    assert user is not None
    assert user.check_password("a-long-enough-pass")


def test_an_existing_user_joins_another_tenant_with_the_password_they_have(owner: Person) -> None:
    run("tenant", "create", "second")
    assert run("user", "create", owner.email, "--tenant", "second", "--role", "viewer") == ""
    assert {p.slug for p in tenants_of(owner.user)} == {"acme", "second"}


def test_a_user_is_switched_off_and_on_and_leaves_a_tenant(owner: Person, member: Person) -> None:
    run("user", "deactivate", member.email)
    assert not User.objects.get(pk=member.user.pk).is_active
    run("user", "activate", member.email.upper())
    assert User.objects.get(pk=member.user.pk).is_active
    run("user", "remove", member.email, "--tenant", "acme")
    assert tenants_of(member.user) == []


def test_a_tenant_is_suspended_and_let_in_again(owner: Person) -> None:
    run("tenant", "suspend", "acme")
    assert tenants_of(owner.user) == []
    run("tenant", "resume", "acme")
    assert [place.slug for place in tenants_of(owner.user)] == ["acme"]


def test_a_new_password_ends_sessions_and_is_in_the_audit_trail(
    owner: Person, owner_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owner_api.get("/api/v1/me").status_code == 200
    answers = iter(["a-new-long-password", "another-long-one", "a-new-long-password", "a-new-long-password"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    with pytest.raises(CommandError, match="differ"):
        run("changepassword", owner.email)
    assert owner_api.get("/api/v1/me").status_code == 200
    run("changepassword", owner.email)
    assert owner_api.get("/api/v1/me").status_code == 401
    assert User.objects.get(pk=owner.user.pk).check_password("a-new-long-password")
    record = AuditRecord.objects.latest("id")
    assert (record.action, record.target_id, record.actor_id) == (
        "user.change_password",
        owner.user.id.hex,
        "manage.py changepassword",
    )
    monkeypatch.setattr("sys.stdin", StringIO("short\n"))
    with pytest.raises(CommandError, match="too short"):
        run("changepassword", owner.email, "--password-stdin")


def test_the_operator_is_named_once(tenant: Tenant) -> None:
    assert run("tenant", "operator", "acme") == str(tenant.id)
    assert run("tenant", "operator", "acme") == str(tenant.id)
    run("tenant", "create", "second")
    with pytest.raises(CommandError, match="Another tenant"):
        run("tenant", "operator", "second")
    assert Tenant.objects.get(is_operator=True) == tenant


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenant", "create", "acme"),
        ("tenant", "create", "Not A Slug"),
        ("tenant", "operator", "nowhere"),
        ("tenant", "suspend", "nowhere"),
        ("user", "deactivate", "nobody@acme.example"),
        ("user", "remove", "owner@acme.example", "--tenant", "acme"),
        ("changepassword", "nobody@acme.example"),
        ("user", "create", "x@y.example", "--tenant", "nowhere"),
        ("user", "create", "no-address", "--tenant", "acme"),
        ("user", "create", "owner@acme.example", "--tenant", "acme"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(owner: Person, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert str(caught.value).endswith(".")
