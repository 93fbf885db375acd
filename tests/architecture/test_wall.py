"""The second wall between tenants: what PostgreSQL itself shows to the user that everything runs as, whatever SQL it is asked."""

from __future__ import annotations

import ast
import random
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, transaction
from psycopg import sql

from ollamamax.identity.database.base import scope_text
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.processes.database_users import rights, tables
from tests.architecture.code import modules

ONE, OTHER = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f900001", "0192f0c1-2d3e-7f4a-8b5c-6d7e8f900002"
VALUES = {
    "uuid": "gen_random_uuid()",
    "boolean": "false",
    "smallint": "1",
    "integer": "(random() * 2000000000)::integer",  # one of them may be unique
    "bigint": "1",
    "double precision": "1",
    "numeric": "1",
    "timestamp with time zone": "now()",
    "jsonb": "'{}'",
    "bytea": "''",
    "ARRAY": "'{}'",
}
"""Of each type one that may stand in a row; text is made as long as its column lets it be."""


@pytest.fixture
def server(transactional_db: None) -> Iterator[psycopg.Connection]:
    """As the superuser, in a transaction that is rolled back, with a role that has what the runtime user has."""
    here = connection.settings_dict
    url = f"postgresql://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}/{here['NAME']}"
    name = f"behind_{secrets.token_hex(4)}"
    with connection.cursor():  # its connection makes the statements below
        statements = rights(name, tables())
    with psycopg.connect(url) as made:
        made.execute(sql.SQL("CREATE ROLE {} NOSUPERUSER NOINHERIT").format(sql.Identifier(name)))
        for statement in statements:
            made.execute(statement)
        made.execute("SELECT set_config('tests.role', %s, true)", [name])
        yield made
        made.rollback()


def become(server: psycopg.Connection, *, tenant: str | None) -> None:
    """From now on as the runtime user, in this scope; ``None`` is as a new connection has it."""
    server.execute("SELECT set_config('role', current_setting('tests.role'), true)")
    if tenant is not None:
        server.execute("SELECT set_config('omx.tenant', %s, true)", [tenant])


def owned(server: psycopg.Connection) -> list[str]:
    found = server.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    return [name for (name,) in found]


def fill(server: psycopg.Connection, table: str) -> None:
    """A row of each tenant, whatever else must hold: only who it belongs to matters here."""
    name = sql.Identifier(table)
    server.execute("SET LOCAL session_replication_role = replica")
    checks = server.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", [table]
    ).fetchall()
    for (check,) in checks:
        server.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(name, sql.Identifier(check)))
    columns = server.execute(
        "SELECT column_name, data_type, COALESCE(character_maximum_length, 32) FROM information_schema.columns"
        " WHERE table_name = %s AND table_schema = 'public' AND is_nullable = 'NO' AND is_identity = 'NO'",
        [table],
    ).fetchall()
    for tenant in (ONE, OTHER):
        names, values = [], []
        for column, kind, length in columns:
            names.append(sql.Identifier(column))
            if column == "tenant_id":
                continue
            text = sql.SQL("left(md5(random()::text), {})").format(sql.Literal(length))
            values.append(sql.SQL(VALUES[kind]) if kind in VALUES else text)
        names = [each for each in names if each != sql.Identifier("tenant_id")]
        server.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                name,
                sql.SQL(", ").join([*names, sql.Identifier("tenant_id")]),
                sql.SQL(", ").join([*values, sql.Literal(tenant)]),
            )
        )
    server.execute("SET LOCAL session_replication_role = origin")


def seen(server: psycopg.Connection, table: str) -> set[str]:
    rows = server.execute(
        sql.SQL("SELECT DISTINCT tenant_id::text FROM {} WHERE tenant_id IS NOT NULL").format(sql.Identifier(table))
    )
    return {tenant for (tenant,) in rows}


def test_every_table_with_a_tenant_is_behind_the_wall_for_its_owner_too(server: psycopg.Connection) -> None:
    names = owned(server)
    assert len(names) > 15
    for name in names:
        found = server.execute(
            "SELECT relrowsecurity, relforcerowsecurity, array(SELECT polname::text FROM pg_policy WHERE polrelid = pg_class.oid ORDER BY 1)"
            " FROM pg_class WHERE oid = %s::regclass",
            [name],
        ).fetchone()
        policies = ["tenant_apart"] if name != "identity_role" else ["tenant_apart", "tenant_common"]
        assert found == (True, True, policies), name


def test_of_each_table_only_the_rows_of_the_tenant_in_scope_are_there(server: psycopg.Connection) -> None:
    for table in owned(server):
        fill(server, table)
        name = sql.Identifier(table)
        for tenant, expected in ((None, set()), ("", set()), (ONE, {ONE}), (OTHER, {OTHER}), ("*", {ONE, OTHER})):
            with server.transaction(force_rollback=True):
                become(server, tenant=tenant)
                assert seen(server, table) == expected, (table, tenant)
        with server.transaction(force_rollback=True):
            become(server, tenant=ONE)
            # Neither changed nor deleted, nor given to or taken from another.
            gone = server.execute(sql.SQL("DELETE FROM {} WHERE tenant_id = {}").format(name, sql.Literal(OTHER)))
            assert gone.rowcount == 0, table
            # A trigger may be quicker, of what nobody changes.
            refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.IntegrityConstraintViolation)
            with pytest.raises(refused):
                server.execute(sql.SQL("UPDATE {} SET tenant_id = {}").format(name, sql.Literal(OTHER)))


def test_nobody_reaches_a_partition_past_its_table(server: psycopg.Connection) -> None:
    parts = server.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'").fetchall()
    assert len(parts) > 5
    become(server, tenant="*")
    for (part,) in parts:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), server.transaction():
            server.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(part)))


def test_a_table_of_a_later_release_gets_its_policy_with_the_next_migration(server: psycopg.Connection) -> None:
    server.execute("CREATE TABLE public.of_a_later_release (id int, tenant_id uuid NOT NULL)")
    assert server.execute("SELECT keep_tenants_apart()").fetchone() == (1,)
    assert server.execute("SELECT keep_tenants_apart()").fetchone() == (0,)


# What tells the server whose scope it is.


def told() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('omx.tenant', true)")
        (found,) = cursor.fetchone()
        return str(found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(25))
def test_the_server_knows_the_scope_of_each_statement_whatever_was_rolled_back(seed: int) -> None:
    """Scopes inside of scopes, transactions and savepoints, committed or not, connections that go: in any order."""
    chance = random.Random(seed)

    def go(depth: int) -> None:
        for _ in range(chance.randint(1, 3)):
            assert told() == scope_text()
            if depth == 0:
                return
            kind = chance.choice(["one", "other", "every", "commit", "rollback", "close"])
            if kind == "close" and not connection.in_atomic_block:
                connection.close()
            elif kind in {"one", "other"}:
                with tenant_scope(ONE if kind == "one" else OTHER):
                    go(depth - 1)
            elif kind == "every":
                with every_tenant():
                    go(depth - 1)
            else:
                with transaction.atomic():
                    go(depth - 1)
                    if kind == "rollback":
                        transaction.set_rollback(True)
            assert told() == scope_text()

    go(5)


# Who looks past the first wall.

LOOPS = "a loop or a command over all tenants"
FINDS = "finds out whose a credential or an id is, before there is a tenant"
PUBLISHES = "reads again what it tells the data plane of"
OPERATOR = "an act of the operator, on all tenants"
EVERY_TENANT = {
    "cluster/actions/drain.py": LOOPS,
    "cluster/actions/experiment.py": LOOPS,
    "cluster/actions/history.py": LOOPS,
    "cluster/actions/incident.py": LOOPS,
    "cluster/actions/lifecycle.py": LOOPS,
    "cluster/actions/node.py": FINDS,
    "cluster/management/commands/nodes.py": OPERATOR,
    "cluster/actions/prediction.py": LOOPS,
    "cluster/actions/recovery.py": LOOPS,
    "cluster/actions/tenant_removal.py": LOOPS,
    "cluster/membership.py": LOOPS,
    "cluster/reconcile.py": LOOPS,
    "cluster/queries/incident.py": "of how many tenants requests were that an incident hit, when it closes",
    "models_registry/actions/client_key.py": "whom a key pair stood for, whose owner has proved that it is theirs",
    "models_registry/actions/collect.py": LOOPS,
    "models_registry/actions/external.py": LOOPS,
    "models_registry/actions/job.py": LOOPS,
    "models_registry/actions/loading.py": LOOPS,
    "models_registry/actions/pieces.py": LOOPS,
    "models_registry/actions/placement.py": LOOPS,
    "models_registry/actions/replica.py": LOOPS,
    "models_registry/actions/rollout.py": LOOPS,
    "models_registry/actions/scaling.py": LOOPS,
    "models_registry/actions/scrub.py": LOOPS,
    "models_registry/actions/shapes.py": LOOPS,
    "models_registry/publication.py": PUBLISHES,
    "models_registry/queries/client_key.py": FINDS,
    "models_registry/queries/peers.py": "of one node's own tenant, for a node that is known by its key",
    "models_registry/queries/job.py": LOOPS,
    "models_registry/queries/model.py": "whether a name is one that the operator shares with all",
    "models_registry/queries/repository.py": "whether a repository is of a model that the operator shares with all",
    "ollamamax/backup/restore.py": "whole tables, for whoever has the database's owner",
    "ollamamax/batches/actions/lease.py": LOOPS,
    "ollamamax/batches/queries/batch.py": LOOPS,
    "ollamamax/batches/queries/file.py": LOOPS,
    "ollamamax/doctor/fleet.py": OPERATOR,
    "ollamamax/evaluations/actions/lease.py": LOOPS,
    "ollamamax/evaluations/queries/evaluation.py": LOOPS,
    "ollamamax/identity/actions/idempotency.py": LOOPS,
    "ollamamax/identity/actions/key_use.py": LOOPS,
    "ollamamax/identity/actions/playground.py": "of one session, which may have acted in several tenants",
    "ollamamax/identity/actions/retention.py": LOOPS,
    "ollamamax/identity/actions/tenant_removal.py": LOOPS,
    "ollamamax/identity/actions/user.py": OPERATOR,
    "ollamamax/identity/directory.py": PUBLISHES,
    "ollamamax/identity/management/commands/migrate.py": LOOPS,
    "ollamamax/identity/queries/invitation.py": FINDS,
    "ollamamax/identity/queries/key.py": FINDS,
    "ollamamax/identity/queries/member.py": FINDS,
    "ollamamax/identity/scope.py": "says what it is",
    "ollamamax/metering/actions/budget.py": PUBLISHES,
    "ollamamax/metering/actions/prompt.py": LOOPS,
    "ollamamax/metering/actions/spending.py": LOOPS,
    "ollamamax/metering/actions/usage.py": LOOPS,
    "ollamamax/metering/queries.py": OPERATOR,
    "ollamamax/notifications/actions/delivery.py": LOOPS,
    "ollamamax/notifications/actions/fan_out.py": LOOPS,
    "ollamamax/notifications/actions/health.py": LOOPS,
    "ollamamax/notifications/actions/streamed.py": LOOPS,
    "ollamamax/responses/actions/lease.py": LOOPS,
    "ollamamax/processes/sealed.py": LOOPS,
    "ollamamax/responses/actions/sweep.py": LOOPS,
    "ollamamax/responses/queries/response.py": LOOPS,
    "ollamamax/provisioning/queries/directory.py": FINDS,
    "ollamamax/oauth/actions/family.py": LOOPS,
    "ollamamax/oauth/queries/application.py": FINDS,
    "ollamamax/oauth/queries/family.py": FINDS,
    "ollamamax/oauth/queries/workload.py": FINDS,
    "ollamamax/sso/actions/ldap.py": LOOPS,
    "ollamamax/sso/queries/provider.py": FINDS,
}


def test_rows_of_every_tenant_are_looked_at_in_listed_places_only() -> None:
    """Never where a request is answered: no view, protocol or consumer is on the list."""
    using = {
        path.as_posix()
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.FunctionDef | ast.alias)
        and (node.id if isinstance(node, ast.Name) else node.name) in {"every_tenant", "scopes_disabled"}
    }
    assert using == EVERY_TENANT.keys()
    assert not [path for path in using if {"api", "protocol", "consumers.py"} & set(path.split("/"))]
