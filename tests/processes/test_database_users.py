"""What everything runs as may change rows and add audit records, and nothing else; whoever it is, and whatever was there before."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from psycopg import sql
from pytest_django import Settings

from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.notes import signing_key
from ollamamax.audit.retention import drop_expired, make_partitions
from ollamamax.env import Environment
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import system
from ollamamax.metering import queries
from ollamamax.metering.actions import usage as actions
from ollamamax.processes import database_users
from ollamamax.processes.management.commands import prepare
from tests.metering.records import wire

pytestmark = pytest.mark.django_db(transaction=True)


def url_of(user: str, password: str) -> str:
    here = connection.settings_dict
    return f"postgresql://{user}:{password}@{here['HOST']}:{here['PORT']}/{here['NAME']}"


@pytest.fixture
def owner_url() -> str:
    return url_of(str(connection.settings_dict["USER"]), str(connection.settings_dict["PASSWORD"]))


@pytest.fixture
def user() -> Iterator[str]:
    """A name that nobody has; the user is removed after the test."""
    name = f"runtime_{secrets.token_hex(4)}"
    yield name
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        if cursor.fetchone():
            for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)).as_string(connection.connection))


@pytest.fixture
def prepared(settings: Settings, owner_url: str, user: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the user, after `ollamamax prepare`."""
    monkeypatch.setattr(prepare, "call_command", lambda *_, **__: None)
    url = url_of(user, "a-password")
    named = {"DATABASE_URL": url, "DATABASE_OWNER_URL": owner_url}
    settings.ENV = Environment({**settings.ENV.values, **named})
    call_command("prepare")
    return url


def test_it_runs_the_product_and_nothing_is_left_of_the_owners_connection(prepared: str, owner_url: str) -> None:
    assert connection.settings_dict["USER"] == urlsplit(owner_url).username
    with database_users.connected_by(prepared):
        for number in (1, 2):
            with transaction.atomic():
                record(
                    acting=system("test"), action="thing.make", target_type="thing", target_id=str(number), tenant=None
                )
        assert AuditRecord.objects.filter(chain="system").count() == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditrecord SET actor_name = 'x'",
        "DELETE FROM audit_auditrecord",
        "TRUNCATE audit_auditrecord",
        "INSERT INTO audit_chainhead VALUES ('x', 1, 'y')",
        "UPDATE audit_chainhead SET seq = 0",
        "DELETE FROM audit_chainhead",
        "TRUNCATE audit_chainhead",
        "ALTER TABLE audit_auditrecord DISABLE TRIGGER ALL",
        "ALTER TABLE audit_auditrecord DISABLE TRIGGER audit_record_refuse",
        "SET session_replication_role = replica",
        "DROP TRIGGER audit_record_refuse ON audit_auditrecord",
        "CREATE TRIGGER x BEFORE INSERT ON audit_auditrecord EXECUTE FUNCTION audit_refuse()",
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE mine (x int)",
        "CREATE TEMPORARY TABLE audit_chainhead (chain text, seq bigint, hash text)",
        "CREATE SCHEMA mine",
        "ALTER TABLE identity_user ADD COLUMN x int",
        "DROP TABLE identity_user",
        "TRUNCATE identity_user",
        "ALTER TABLE audit_auditrecord OWNER TO CURRENT_USER",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "CREATE ROLE another",
        "DELETE FROM django_migrations",
        "COPY identity_user TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT audit_append()",
        "SELECT audit_drop_partition('audit_auditrecord_20200101')",
        "SELECT audit_make_partition('2020-01-01Z')",
        "DELETE FROM audit_auditrecord_other",
        "INSERT INTO audit_checkpoint SELECT * FROM audit_checkpoint",
        "DELETE FROM audit_checkpoint",
        "DROP TABLE metering_usagerecord_other",
        "TRUNCATE metering_usagerecord",
        "SELECT count(*) FROM metering_usagerecord_other",
        "SELECT metering_make_partition('metering_usagerecord', now(), now())",
    ],
)
def test_it_changes_no_table_and_no_audit_record(prepared: str, statement: str) -> None:
    with (
        psycopg.connect(prepared) as runtime,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)),
    ):
        runtime.execute(statement)


def test_it_has_partitions_of_usage_made_and_dropped_by_the_owners_functions(prepared: str, tenant: Tenant) -> None:
    connection.cursor().execute("SELECT metering_make_partition('metering_usagerecord', '2020-01-06Z', '2020-01-13Z')")
    with database_users.connected_by(prepared):
        actions.insert([wire(tenant)])
        actions.keep_usage()
        with tenant_scope(tenant):
            assert queries.totals().requests == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('metering_usagerecord_20200106')")
        assert cursor.fetchone() == (None,)


def test_of_the_audit_trail_the_owner_alone_drops_a_month(prepared: str, tmp_path: Path, settings: Settings) -> None:
    settings.HOME = tmp_path
    signing_key(tmp_path / "audit")
    connection.cursor().execute("SELECT audit_make_partition('2020-01-01Z')")
    with database_users.connected_by(prepared):
        make_partitions()
        with pytest.raises(ProgrammingError, match="permission denied"):
            drop_expired(365, tmp_path / "audit")
    out = StringIO()
    call_command("audit_prune", "--days", "365", stdout=out)
    assert out.getvalue() == "audit_auditrecord_20200101, 0 records of 0 chains: was dropped\n"
    with pytest.raises(CommandError, match="for ever"):
        call_command("audit_prune")


def test_rights_follow_tables_that_are_new_and_a_password_that_is(
    prepared: str, user: str, settings: Settings, owner_url: str
) -> None:
    connection.cursor().execute("CREATE TABLE public.of_a_later_version (x int)")
    try:
        url = url_of(user, "another-password")
        settings.ENV = Environment({**settings.ENV.values, "DATABASE_URL": url, "DATABASE_OWNER_URL": owner_url})
        call_command("prepare")
        with psycopg.connect(url) as runtime:
            runtime.execute("INSERT INTO of_a_later_version VALUES (1)")
    finally:
        connection.cursor().execute("DROP TABLE public.of_a_later_version")


def test_a_superuser_or_the_owner_is_refused(
    settings: Settings, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "call_command", lambda *_, **__: None)
    named = {"DATABASE_URL": owner_url, "DATABASE_OWNER_URL": owner_url}
    settings.ENV = Environment({**settings.ENV.values, **named})
    with pytest.raises(CommandError, match="name another one"):
        call_command("prepare")


def test_where_the_owner_makes_no_users_the_sql_is_printed_and_does_it(
    settings: Settings, owner_url: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "call_command", lambda *_, **__: None)
    named = {
        "DATABASE_URL": url_of(user, quote("choose one, and put it into DATABASE_URL")),
        "DATABASE_OWNER_URL": owner_url,
    }
    settings.ENV = Environment({**settings.ENV.values, **named})

    def may_not(*_: object) -> sql.Composed:
        return sql.SQL("DO $$ BEGIN RAISE insufficient_privilege; END $$; {}").format(sql.SQL(""))

    with monkeypatch.context() as patched:
        patched.setattr(database_users, "creation", may_not)
        with pytest.raises(CommandError, match="database_users` prints"):
            call_command("prepare")
    out = StringIO()
    call_command("database_users", stdout=out)
    with connection.cursor() as cursor:
        cursor.execute(out.getvalue())
    call_command("prepare")
    with psycopg.connect(named["DATABASE_URL"]) as runtime:
        runtime.execute("SELECT count(*) FROM identity_user")
