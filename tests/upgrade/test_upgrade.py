"""A database that an earlier release left, with a little of everything in it, is brought to this one and lacks nothing.

`before.sql` was printed by `make_dump.py` in a checkout of commit 2a7f99b.
"""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from cluster.models import Node
from models_registry.models import Alias, Channel, Job, Replica
from ollamamax.audit.verify import verify
from ollamamax.batches.models import Answer, Batch, File
from ollamamax.contract.tables import EVERYBODY
from ollamamax.identity.models import ApiKey, Tenant, User
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import tenants_of
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.metering import queries
from ollamamax.metering.models import RequestRoute, UsageRecord
from ollamamax.processes.database_users import connected_by
from ollamamax.responses.models import ConversationItem, KeptResponse

BEFORE = Path(__file__).parent / "before.sql"
Rows = dict[str, list[dict[str, Any]]]


def rows() -> Rows:
    """Everything that the database holds, by table; partitions are their table's."""
    found: Rows = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)).as_string(connection.connection))
            names = [column.name for column in cursor.description or ()]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def told(name: str) -> str:
    """What its maker wrote at the top of the dump."""
    line = next(line for line in BEFORE.read_text().splitlines() if line.startswith(f"-- {name}: "))
    return line.partition(": ")[2]


@pytest.fixture(scope="module")
def before(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Rows]:
    """The rows of the earlier release; for the tests of this module the database is the upgraded one."""
    with django_db_blocker.unblock():
        here = connection.settings_dict
        server = f"postgresql://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}"
        name = f"upgraded_{secrets.token_hex(4)}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                with psycopg.connect(f"{server}/{name}", autocommit=True) as empty:
                    empty.execute(BEFORE.read_bytes())
                with connected_by(f"{server}/{name}"):
                    found = rows()
                    call_command("migrate", interactive=False, verbosity=0)
                    yield found
            finally:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(autouse=True)
def _upgraded(before: Rows, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def test_no_row_is_lost_and_what_each_said_it_still_says(before: Rows) -> None:
    after = rows()
    for table, earlier in before.items():
        if table in {"django_migrations", "django_content_type", "auth_permission"}:
            continue
        assert table in after, table
        names = set(earlier[0]) & set(after[table][0]) if earlier and after[table] else set()
        shown = [sorted(repr(sorted((k, each[k]) for k in names)) for each in some) for some in (earlier, after[table])]
        assert shown[0] == shown[1], table


def test_every_table_had_a_row_so_that_nothing_is_left_unseen(before: Rows) -> None:
    empty = {table for table, found in before.items() if not found}
    assert empty <= {"django_session", "auth_group", "auth_group_permissions", "identity_logincounter",
        "identity_user_groups", "identity_user_user_permissions"}  # fmt: skip


def test_people_and_keys_come_in_as_before() -> None:
    owner = User.objects.get(email=told("owner"))
    assert owner.check_password(told("password"))
    assert [(place.slug, place.role) for place in tenants_of(owner)] == [("acme", "owner")]
    principal = find_principal(told("key"))
    assert principal is not None
    assert {"inference.use", "tenant.manage"} <= principal.permissions


def test_the_audit_trail_is_whole() -> None:
    assert list(verify()) == []


def test_models_batches_and_responses_are_found_by_their_tenant() -> None:
    acme = Tenant.objects.get(slug="acme")
    with tenant_scope(acme):
        assert {f"{each.model.name}:{each.name}" for each in Channel.objects.all()} == {"tiny:1b"}
        assert Alias.objects.get().target == "tiny:1b"
        assert sorted(Replica.objects.values_list("state", flat=True)) == ["failed", "ready"]
        assert Job.objects.get().state == "done"
        assert (Batch.objects.get().total, File.objects.get().name, Answer.objects.get().number) == (
            3,
            "input.jsonl",
            1,
        )
        assert (KeptResponse.objects.count(), ConversationItem.objects.count()) == (1, 1)


def test_a_node_that_was_shared_serves_everybody() -> None:
    with every_tenant():
        access = {node.tenant.slug + "/" + node.name: node.access for node in Node.objects.select_related("tenant")}
    assert access == {"acme/gpu-1": [EVERYBODY], "acme/gpu-2": [], "other/gpu-1": []}


def test_usage_sums_up_to_what_was_recorded_and_routes_are_apart(before: Rows) -> None:
    recorded = before["metering_usagerecord"]
    for tenant in Tenant.objects.all():
        own = [each for each in recorded if each["tenant_id"] == tenant.id]
        with tenant_scope(tenant):
            sums = queries.totals()
            assert sums.requests == sum(each["node"] is not None for each in own)
            assert sums.prompt_tokens == sum(each["prompt_tokens"] for each in own)
            assert sums.completion_tokens == sum(each["completion_tokens"] for each in own)
            assert sums.costs == {}
            for by in ("model", "key", "node", "day", "hour"):
                groups = queries.groups(by=(by,))
                assert sum(each.prompt_tokens for each in groups) == sums.prompt_tokens, by
            pairs = queries.groups(by=("model", "node"))
            assert sum(each.failed for each in pairs) == sums.failed
    with every_tenant():
        assert {each.request: each.route for each in RequestRoute.objects.all()} == {
            each["request"]: json.loads(each["route"]) for each in recorded if each["route"] is not None
        }
        assert set(UsageRecord.objects.values_list("cost", "currency", "user")) == {(None, "", "")}


def test_records_lie_in_the_partitions_of_their_weeks() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_usagerecord_other")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(DISTINCT tableoid) FROM metering_usagerecord")
        assert cursor.fetchone()[0] >= 6  # of 40 days


def test_keys_tell_who_made_them_and_of_those_with_one_name_the_oldest_keeps_it() -> None:
    """Against the upgraded database, put back to where keys could have one name."""
    names = importlib.import_module("ollamamax.identity.migrations.0014_key_names")
    with every_tenant(), transaction.atomic(), connection.cursor() as cursor:
        assert {key.created_by_name for key in ApiKey.objects.select_related("created_by")} == {
            told("owner"), "stranger@other.example"
        }  # fmt: skip
        cursor.execute("DROP INDEX identity_key_name_unique")
        owner = User.objects.get(email=told("owner"))
        acme = Tenant.objects.get(slug="acme")
        long = "n" * 100
        for number, (name, revoked) in enumerate(
            [("ci", True), ("ci", False), ("ci", False), (long, False), (long, False)]
        ):
            ApiKey.objects.create(
                tenant=acme, created_by=owner, name=name, identifier=f"{number:016}", secret_hash=f"{number:064x}",
                revoked_at=timezone.now() if revoked else None,
            )  # fmt: skip
        cursor.execute(names.RENAME_DUPLICATES)
        held = dict(ApiKey.objects.filter(identifier__startswith="0000").values_list("identifier", "name"))
        assert [held[f"{number:016}"] for number in range(5)] == [
            "ci", "ci", f"ci ({2:016})", long, f"{'n' * 81} ({4:016})"
        ]  # fmt: skip
        transaction.set_rollback(True)
