"""A tenant is deleted: asked for, taken back, its data taken along, then everything of it removed, and nothing of its neighbour."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from psycopg import sql
from rest_framework.test import APIClient

from cluster.models import Node
from ollamamax.audit.holds import place_hold, release_hold
from ollamamax.audit.models import AuditRecord, ChainHead
from ollamamax.audit.notes import note_heads, noted, trusted_keys
from ollamamax.audit.removal import drop_removed, removed_heads, without_removed
from ollamamax.bus import keys
from ollamamax.contract.tables import MODELS
from ollamamax.identity import departure, directory
from ollamamax.identity.actions import tenant_removal
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.tenant_deletion import ask_deletion
from ollamamax.identity.departure import EXPORTS, owned_models
from ollamamax.identity.models import ApiKey, Membership, Tenant, User, UserSession
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.architecture.test_wall import ONE, OTHER, fill
from tests.cast import SYSTEM, Person, logged_in, make_key, make_person, with_key
from tests.cluster.conftest import issue

pytestmark = pytest.mark.django_db
ALL = "/api/v1/tenants"
PAST = timezone.now() - datetime.timedelta(days=40)


def deletion(tenant: Tenant) -> str:
    return f"{ALL}/{tenant.pk}/deletion"


def ask(api: APIClient, tenant: Tenant, slug: str | None = None) -> Any:
    return api.post(deletion(tenant), {"slug": tenant.slug if slug is None else slug}, format="json")


def come_due(tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(suspended_at=PAST, deletion_asked_at=PAST, deletes_at=PAST)


def nobody_else_leads() -> None:
    """The check of a leader that nobody has taken over from."""


def test_an_owner_asks_and_takes_it_back_and_is_let_in_again(owner: Person, owner_api: APIClient) -> None:
    key = make_key(owner)
    asked = ask(owner_api, owner.tenant)
    assert asked.status_code == 200
    days = datetime.datetime.fromisoformat(asked.json()["deletes_at"]) - timezone.now()
    assert datetime.timedelta(days=29) < days <= datetime.timedelta(days=30)
    assert asked.json()["suspended_at"] is not None
    # Nobody acts in it any more, by no way; its date is shown to its members.
    assert directory.known_keys() == {}
    assert with_key(key.text).get("/api/v1/me").status_code == 401
    session = owner_api.get("/api/v1/session").json()
    assert (session["tenant"], session["tenants"]) == (None, [])
    [leaving] = session["leaving"]
    assert (leaving["slug"], leaving["is_owner"]) == ("acme", True)
    assert leaving["deletes_at"] == asked.json()["deletes_at"]
    # Asking again moves no date.
    assert ask(owner_api, owner.tenant).json()["deletes_at"] == asked.json()["deletes_at"]
    assert owner_api.delete(deletion(owner.tenant)).json()["deletes_at"] is None
    assert owner_api.get("/api/v1/session").json()["tenant"]["slug"] == "acme"
    assert len(directory.known_keys()) == 1
    assert owner_api.delete(deletion(owner.tenant)).status_code == 200
    told = AuditRecord.objects.filter(chain="system", action__startswith="tenant.").order_by("seq")
    assert list(told.values_list("action", flat=True))[-2:] == ["tenant.ask_deletion", "tenant.keep"]


def test_one_that_was_suspended_before_is_so_again(operator_api: APIClient, tenant: Tenant) -> None:
    operator_api.post(f"{ALL}/{tenant.pk}/suspend")
    assert ask(operator_api, tenant).status_code == 200
    assert operator_api.post(f"{ALL}/{tenant.pk}/resume").status_code == 409
    kept = operator_api.delete(deletion(tenant)).json()
    assert kept["deletes_at"] is None
    assert kept["suspended_at"] is not None
    assert operator_api.post(f"{ALL}/{tenant.pk}/resume").json()["suspended_at"] is None


@pytest.mark.parametrize(
    "body", [{}, {"slug": "Acme"}, {"slug": "strangers"}, {"slug": ""}, {"slug": 7}, {"slug": "x" * 64}, []]
)
def test_the_short_name_is_typed_as_it_is(owner_api: APIClient, tenant: Tenant, body: Any) -> None:
    assert owner_api.post(deletion(tenant), body, format="json").status_code == 400
    tenant.refresh_from_db()
    assert tenant.deletes_at is None


def test_nobody_but_its_owners_and_the_operator_may(
    owner: Person,
    tenant: Tenant,
    operator: Person,
    stranger_api: APIClient,
    member_api: APIClient,
    anonymous_api: APIClient,
    key_api: APIClient,
) -> None:
    admin = logged_in(make_person(tenant, "admin", "admin"))
    for api, status in ((stranger_api, 404), (member_api, 403), (admin, 403), (key_api, 403), (anonymous_api, 401)):
        assert ask(api, tenant).status_code == status
        assert api.delete(deletion(tenant)).status_code == status
        assert api.get(f"{ALL}/{tenant.pk}/export").status_code == status
    # The operator takes nobody's data along while they stay, and their own tenant stays for good.
    by_operator = logged_in(operator)
    assert by_operator.get(f"{ALL}/{tenant.pk}/export").status_code == 403
    assert ask(by_operator, operator.tenant).status_code == 409
    tenant.refresh_from_db()
    assert tenant.deletes_at is None


def test_it_wants_a_recent_proof_and_an_owner_who_may_log_in_like_this(owner: Person, owner_api: APIClient) -> None:
    session: Any = owner_api.session
    session["log_in"] = {**session["log_in"], "at": session["log_in"]["at"] - 3600}
    session.save()
    for refused in (ask(owner_api, owner.tenant), owner_api.get(f"{ALL}/{owner.tenant.pk}/export")):
        assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_needed")
    api = logged_in(owner)
    assert ask(api, owner.tenant).status_code == 200
    Tenant.objects.filter(pk=owner.tenant.pk).update(sso_enforced=True)
    assert api.delete(deletion(owner.tenant)).status_code == 403
    assert api.get(f"{ALL}/{owner.tenant.pk}/export").status_code == 403


def test_a_legal_hold_stops_it_before_and_amid(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    hold = place_hold(acting=owner.acting, name=owner.tenant.pk.hex, reason="Case 7")
    assert ask(owner_api, owner.tenant).status_code == 409
    come_due(owner.tenant)
    assert tenant_removal.remove_tenants(nobody_else_leads) == 0
    with tenant_scope(owner.tenant):
        assert Membership.objects.count() == 1
    release_hold(acting=owner.acting, name=owner.tenant.pk.hex, hold_id=hold.pk)
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    assert not Tenant.objects.filter(pk=owner.tenant.pk).exists()


def test_what_is_due_is_not_taken_back_and_what_is_not_due_stays(owner: Person, operator_api: APIClient) -> None:
    ask_deletion(acting=SYSTEM, tenant_id=owner.tenant.pk, slug="acme")
    assert tenant_removal.remove_tenants(nobody_else_leads) == 0
    come_due(owner.tenant)
    assert operator_api.delete(deletion(owner.tenant)).status_code == 409
    assert operator_api.get(f"{ALL}/{owner.tenant.pk}/export").status_code == 409


# The export.


def test_the_export_has_everything_and_no_secret(owner: Person, owner_api: APIClient) -> None:
    key = make_key(owner, name="build")
    answer = owner_api.get(f"{ALL}/{owner.tenant.pk}/export")
    assert answer["Content-Disposition"] == 'attachment; filename="acme.zip"'
    whole = b"".join(answer)
    archive = zipfile.ZipFile(io.BytesIO(whole))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["files"].keys() == {f"{each.name}.jsonl" for each in EXPORTS} | {"audit.jsonl"}
    rows = {}
    for name, said in manifest["files"].items():
        text = archive.read(name)
        assert (hashlib.sha256(text).hexdigest(), len(text)) == (said["sha256"], said["bytes"])
        rows[name] = [json.loads(line) for line in text.splitlines()]
        assert len(rows[name]) == said["rows"]
    assert [each["email"] for each in rows["members.jsonl"]] == [owner.email]
    assert [each["name"] for each in rows["keys.jsonl"]] == ["build"]
    assert rows["settings.jsonl"][0]["slug"] == "acme"
    assert rows["audit.jsonl"][-1]["action"] == "tenant.export"
    assert [each["seq"] for each in rows["audit.jsonl"]] == list(range(1, len(rows["audit.jsonl"]) + 1))
    text = b"".join(archive.read(name) for name in manifest["files"])
    for secret in (key.text, key.row.secret_hash, owner.user.password):
        assert secret.encode() not in text


SECRET = re.compile(r"(^|_)(secret|hash|password|token|identifier|key|private|session|object|input|item)$|sealed|hash")
NO_SECRET = {"key"}
"""The id of a key, in usage."""


def test_no_column_of_the_export_is_a_secret() -> None:
    assert len(EXPORTS) > 20
    for each in EXPORTS:
        assert not [path for path in each.columns.values() if SECRET.search(path) and path not in NO_SECRET], each.name


def test_an_export_of_many_rows_has_each_once(
    owner: Person, owner_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamamax.identity.queries.tenant_export.PAGE", 2)
    for number in range(5):
        make_key(owner, name=f"key {number}")
    answer = owner_api.get(f"{ALL}/{owner.tenant.pk}/export")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    names = [json.loads(line)["name"] for line in archive.read("keys.jsonl").splitlines()]
    assert sorted(names) == [f"key {number}" for number in range(5)]


# The removal.


def columns_naming(tenant: str) -> dict[str, int]:
    """Table -> rows in which the tenant's id stands, in whatever column; of every table that there is."""
    found = {}
    hexadecimal = tenant.replace("-", "")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("SELECT count(*) FROM {} AS each WHERE each::text LIKE %s OR each::text LIKE %s").format(
                    sql.Identifier(table)
                ),
                [f"%{tenant}%", f"%{hexadecimal}%"],
            )
            (count,) = cursor.fetchone()
            if count:
                found[table] = count
    return found


def rows_of(tenant: str) -> dict[str, list[str]]:
    found = {}
    with every_tenant(), connection.cursor() as cursor:
        for model in owned_models():
            cursor.execute(
                sql.SQL("SELECT each::text FROM {} AS each WHERE tenant_id = %s ORDER BY 1").format(
                    sql.Identifier(model._meta.db_table)
                ),
                [tenant],
            )
            found[model._meta.label] = [text for (text,) in cursor.fetchall()]
    return found


def tenant_named(id_: str, slug: str) -> Tenant:
    return Tenant.objects.create(
        id=id_, slug=slug, name=slug, suspended_at=PAST, deletion_asked_at=PAST, deletes_at=PAST
    )


def test_afterwards_no_table_has_a_row_of_it_and_its_neighbour_has_all(valkey: redis.Redis) -> None:
    """Of every table with a tenant a row of each, whatever the models are."""
    neighbour = tenant_named(OTHER, "neighbour")
    Tenant.objects.filter(pk=neighbour.pk).update(suspended_at=None, deletion_asked_at=None, deletes_at=None)
    tenant_named(ONE, "leaving")
    with every_tenant(), connection.cursor():
        raw: Any = connection.connection
        raw.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for model in owned_models():
            fill(raw, model._meta.db_table)
    before = rows_of(OTHER)
    assert all(len(rows) == 1 for rows in before.values())
    assert all(len(rows) == 1 for rows in rows_of(ONE).values())
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    assert rows_of(OTHER) == before
    with every_tenant():
        # What is left to tell is told: one record, and what gateways are to hear of.
        assert columns_naming(ONE) == {
            "audit_auditrecord": 1,
            "bus_unpublished": columns_naming(ONE)["bus_unpublished"],
        }
    [told] = AuditRecord.objects.filter(chain="system", action="tenant.delete")
    assert told.detail["slug"] == "leaving"


def test_every_table_comes_after_those_that_need_it() -> None:
    order = owned_models()
    for model in order:
        for field in model._meta.fields:
            if field.related_model in order and field.related_model is not model:
                assert order.index(model) < order.index(field.related_model), (model, field)
    assert len(order) > 50


class Killed(BaseException):
    """Nothing runs after it but the database's own rollback."""


def test_a_process_that_dies_anywhere_leaves_less_to_do_and_nothing_half(
    owner: Person, member: Person, stranger: Person, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_removal, "SLICE", 2)
    for number in range(7):
        make_key(owner, name=f"key {number}")
    make_key(stranger)
    come_due(owner.tenant)
    deaths, steps, done = 0, 0, False
    while not done:
        # Each life gets further than the one before: into the rows, between tables, and to the last step but one.
        left = steps

        def die() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        try:
            done = tenant_removal.remove_tenants(die) == 1
        except Killed:
            deaths, steps = deaths + 1, steps * 2 + 1
            assert Tenant.objects.filter(pk=owner.tenant.pk).exists()
    assert deaths > 6
    assert not Tenant.objects.filter(pk=owner.tenant.pk).exists()
    assert AuditRecord.objects.filter(action="tenant.delete").count() == 1
    with tenant_scope(stranger.tenant):
        assert ApiKey.objects.count() == 1
    connection.check_constraints()


def test_people_whom_nobody_else_knows_go_with_their_sessions_and_others_stay(
    owner: Person, member: Person, stranger: Person, valkey: redis.Redis
) -> None:
    add_member(acting=SYSTEM, tenant=stranger.tenant, user=owner.user, role="viewer")
    here, there = logged_in(member), logged_in(owner)
    for each, api in ((member, here), (owner, there)):
        UserSession.objects.create(user=each.user, session_key=api.session.session_key or "")
    come_due(owner.tenant)
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    assert set(User.objects.filter(is_program=False)) == {owner.user, stranger.user}
    assert not Session.objects.filter(session_key=here.session.session_key).exists()
    assert here.get("/api/v1/session").json()["authenticated"] is False
    assert there.get("/api/v1/session").json()["tenant"]["slug"] == "strangers"


def test_nodes_and_what_lies_in_redis_go_too(
    owner: Person, operator: Person, valkey: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    from cluster.actions.node import join_node

    tenant, other = owner.tenant.pk.hex, operator.tenant.pk.hex
    shared = join_node(token=issue(operator), name="shared", engine="llamacpp", agent_version="1").node
    with every_tenant():
        Node.objects.filter(pk=shared.pk).update(access=[tenant, other])
    join_node(token=issue(owner), name="own", engine="llamacpp", agent_version="1")
    for each in (tenant, other):
        valkey.hset(keys.HEALTH, each, "{}")
        valkey.set(keys.recent(each), "x")
        valkey.set(keys.live_mark(each, "fleet"), "x")
        valkey.hset(keys.history_series(7), f"t:{each}", each)
        valkey.hset(keys.history_series(7), f"n:of-{each}", each)
        valkey.set(keys.history(7, f"t:{each}"), "x")
        valkey.zadd(keys.LARGE, {f"{each} request": 1})
        valkey.hset(keys.directory(MODELS.name), f"{each}/m:1", b"x")
    come_due(owner.tenant)
    with django_capture_on_commit_callbacks(execute=True):
        assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    left = [name.decode() for name in valkey.scan_iter(match="omx:*")]
    assert not [name for name in left if tenant in name]
    assert [name for name in left if other in name]
    for name in (keys.HEALTH, keys.history_series(7), keys.directory(MODELS.name)):
        fields = [field.decode() for field in valkey.hkeys(name)]
        assert not [field for field in fields if tenant in field], name
    assert valkey.hexists(keys.HEALTH, other)
    assert valkey.zrange(keys.LARGE, 0, -1) == [f"{other} request".encode()]
    with every_tenant():
        assert list(Node.objects.values_list("name", "access")) == [("shared", [other])]


def test_it_waits_for_redis_and_goes_on(owner: Person, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Any) -> None:
        raise redis.ConnectionError("away")

    come_due(owner.tenant)
    with monkeypatch.context() as patched:
        patched.setattr(departure, "AFTER_ROWS", [away])
        assert tenant_removal.remove_tenants(nobody_else_leads) == 0
    assert Tenant.objects.filter(pk=owner.tenant.pk).exists()
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1


# What is left of its trail.


def test_its_chain_ends_signed_and_the_owner_of_the_tables_drops_it(
    owner: Person, stranger: Person, valkey: redis.Redis, tmp_path: Path, settings: Any
) -> None:
    settings.HOME = tmp_path
    folder = tmp_path / "audit"
    note_heads(folder)
    name = owner.tenant.pk.hex
    neighbours = list(AuditRecord.objects.filter(chain=stranger.tenant.pk.hex).order_by("seq").values())
    head = ChainHead.objects.get(chain=name)
    come_due(owner.tenant)
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    trusted = trusted_keys(folder)
    assert removed_heads(trusted) == {name: (head.seq, head.hash)}
    # A key that nobody trusts ends nothing.
    assert removed_heads({"00" * 32}) == {}
    assert AuditRecord.objects.filter(chain=name).exists()
    assert drop_removed() == {name: head.seq}
    assert not AuditRecord.objects.filter(chain=name).exists()
    assert not ChainHead.objects.filter(chain=name).exists()
    assert drop_removed() == {}
    assert list(AuditRecord.objects.filter(chain=stranger.tenant.pk.hex).order_by("seq").values()) == neighbours
    assert name in noted(folder)
    assert without_removed(noted(folder), trusted).keys() == noted(folder).keys() - {name}
    assert without_removed(noted(folder), set()).keys() == noted(folder).keys()
    # One that ended earlier than a note says was cut.
    longer = {name: type(noted(folder)[name])(head.seq + 1, "f" * 64)}
    assert without_removed(longer, trusted) == longer


def test_no_other_chain_is_dropped_and_none_by_a_plain_statement(owner: Person, valkey: redis.Redis) -> None:
    name = owner.tenant.pk.hex
    for chain in (name, "system", "x"):
        with pytest.raises(DatabaseError, match="of no tenant that was removed"), transaction.atomic():
            connection.cursor().execute("SELECT audit_drop_chain(%s)", [chain])
    come_due(owner.tenant)
    assert tenant_removal.remove_tenants(nobody_else_leads) == 1
    for table in ("audit_auditrecord", "audit_chainhead"):
        with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
            connection.cursor().execute(
                sql.SQL("DELETE FROM {} WHERE chain = %s").format(sql.Identifier(table)), [name]
            )
    # Nor by who says that a chain ends: of that one alone, and as the owner alone.
    connection.cursor().execute("SELECT set_config('omx.chain_ends', %s, true)", [name])
    with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
        connection.cursor().execute("DELETE FROM audit_auditrecord WHERE chain = 'system'")


def test_the_shell_asks_and_takes_back(tenant: Tenant) -> None:
    with pytest.raises(CommandError, match="short name"):
        call_command("tenant", "delete", "acme", "--confirm", "other")
    call_command("tenant", "delete", "acme", "--confirm", "acme")
    tenant.refresh_from_db()
    assert tenant.deletes_at is not None
    call_command("tenant", "keep", "acme")
    tenant.refresh_from_db()
    assert tenant.deletes_at is None
