"""The two users of the database: the owner of the tables, who migrates, and the one that everything runs as.

The second reads and writes rows. Of the audit trail it can only read records and add some, it makes and alters nothing, and it
is no superuser: triggers that keep the trail as it is cannot be switched off by what serves requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connection, connections
from psycopg import Connection, OperationalError, connect, errors, sql

from ollamamax.settings import database

AUDIT = "audit_auditrecord"
ONLY_READ = ("audit_chainhead", "audit_checkpoint", "django_migrations")


class UserMissing(Exception):
    """The user of DATABASE_URL is not there, and the owner may not make it."""


def user_of(url: str) -> str:
    return unquote(urlsplit(url).username or "")


@contextmanager
def as_owner() -> Iterator[bool]:
    """Within, this process's connection is the owner's; ``False`` where DATABASE_URL names the owner."""
    own = settings.ENV["DATABASE_OWNER_URL"]
    if not own:
        yield False
        return
    with connected_by(own):
        yield True


@contextmanager
def connected_by(url: str) -> Iterator[None]:
    """Within, this process's connection is another user's."""
    held: Any = connections["default"]
    before = dict(held.settings_dict)
    _connect(held, before | database(url))
    try:
        yield
    finally:
        _connect(held, before)


def _connect(held: Any, values: dict[str, object]) -> None:
    held.close()
    held.close_pool()
    held.settings_dict.clear()
    held.settings_dict.update(values)


def prepare_user() -> None:
    """As the owner, after the migrations: make the other user if need be, and give it its rights anew. Queries.

    Raises `UserMissing`.
    """
    url = settings.ENV["DATABASE_URL"]
    user, password = user_of(url), unquote(urlsplit(url).password or "")
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [user])
        found = cursor.fetchone()
    raw: Connection = connection.connection
    if found is not None and (found[0] or user == user_of(settings.ENV["DATABASE_OWNER_URL"])):
        raise UserMissing(f"The user '{user}' that DATABASE_URL names is a superuser, or the owner: name another one.")
    try:
        with raw.transaction():
            if found is None:
                raw.execute(creation(user, password))
            elif not _takes(url):
                raw.execute(
                    sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(user), sql.Literal(password))
                )
    except errors.InsufficientPrivilege as error:
        raise UserMissing(
            f"The user '{user}' that DATABASE_URL names is not there, or has another password, and the owner may not mend it: "
            "have somebody run what `ollamamax database_users` prints."
        ) from error
    with raw.transaction():
        for statement in rights(user, tables()):
            raw.execute(statement)


def _takes(url: str) -> bool:
    """Whether the server lets this user in with this password."""
    try:
        connect(url, connect_timeout=5).close()
    except OperationalError:
        return False
    return True


def creation(user: str, password: str) -> sql.Composed:
    return sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {}").format(
        sql.Identifier(user), sql.Literal(password)
    )


def rights(user: str, tables: list[str]) -> list[sql.Composed]:
    """What gives ``user`` its rights to these tables, and takes every other."""
    name = sql.Identifier(user)
    place = sql.Identifier(str(connection.settings_dict["NAME"]))
    statements = [
        sql.SQL("REVOKE TEMPORARY, CREATE ON DATABASE {} FROM PUBLIC, {}").format(place, name),
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(name),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(place, name),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(name),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(name),
        # These act as the owner: what they make and drop is theirs to choose.
        sql.SQL(
            "GRANT EXECUTE ON FUNCTION metering_make_partitions(), metering_drop_partitions(integer, integer),"
            " audit_make_partitions() TO {}"
        ).format(name),
    ]
    for table in tables:
        allowed = "SELECT"
        if table == AUDIT:
            allowed = "SELECT, INSERT"
        elif table not in ONLY_READ:
            allowed = "SELECT, INSERT, UPDATE, DELETE"
        statements.append(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(allowed), sql.Identifier(table), name))
    return statements


def tables() -> list[str]:
    """All that are there now, without partitions: these are reached through their table. Queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
        return [name for (name,) in cursor.fetchall()]
