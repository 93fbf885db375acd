"""Looks at Redis and PostgreSQL by what they say of themselves: versions, clocks, what they do when they are full or restarted."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from ollamamax.bus import sentinels
from ollamamax.bus.regions import Region
from ollamamax.doctor.diagnosis import Diagnosis, fault, fine, warning

OLDEST_REDIS, OLDEST_POSTGRES = (7, 2), 14
CLOCK_SECONDS = 2.0
FULL = 0.85


def of_redis(region: Region) -> list[Diagnosis]:
    """Of a region's; what it does not let us ask is left out."""
    name = f"Redis of region '{region.name}'" if region.name else "Redis"
    try:
        client = region.client
        told: Mapping[str, Any] = client.info()
        seconds, micro = client.time()
        ours = time.time()
        settings = _redis_settings(client)
    except redis.RedisError as error:
        return [
            fault(
                "redis_unreachable",
                f"{name} does not answer: {type(error).__name__}.",
                "Start it, or mend REDIS_URL: nothing is served without it.",
            )
        ]
    return judge_redis(name, told, settings, seconds + micro / 1e6 - ours, _is_local(region.redis_url))


def _redis_settings(client: Any) -> dict[str, str]:
    try:
        return {str(_text(k)): str(_text(v)) for k, v in client.config_get("*").items()}
    except redis.ResponseError:  # a hosted one
        return {}


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def judge_redis(
    name: str, told: Mapping[str, Any], settings: Mapping[str, str], ahead: float, local: bool
) -> list[Diagnosis]:
    """``told``: its INFO; ``ahead``: seconds that its clock is ahead of ours. Pure."""
    found = []
    version = str(told.get("valkey_version") or told.get("redis_version") or "0")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers < OLDEST_REDIS:
        found.append(fault("redis_old", f"{name} is {version}.", "Take Redis or Valkey 7.2 or newer."))
    policy = settings.get("maxmemory-policy", told.get("maxmemory_policy", ""))
    if policy and policy != "noeviction":
        found.append(
            fault(
                "redis_evicts",
                f"{name} throws keys away when it is full (maxmemory-policy {policy}).",
                "CONFIG SET maxmemory-policy noeviction, and in its configuration file.",
            )
        )
    most, used = int(told.get("maxmemory") or 0), int(told.get("used_memory") or 0)
    if most and used > FULL * most:
        found.append(warning("redis_full", f"{name} uses {used} of {most} bytes.", "Give it more memory (maxmemory)."))
    if str(told.get("aof_enabled", "1")) != "1":
        found.append(
            warning(
                "redis_forgets",
                f"{name} writes no log: a restart loses running requests and usage that was not written yet.",
                "CONFIG SET appendonly yes, and in its configuration file.",
            )
        )
    if str(told.get("aof_last_write_status", "ok")) != "ok" or str(told.get("rdb_last_bgsave_status", "ok")) != "ok":
        found.append(fault("redis_disk", f"{name} could not write to its disk.", "Look at its log and its disk."))
    if settings and not settings.get("aclfile") and not local:
        found.append(
            warning(
                "redis_users",
                f"{name} keeps its users in memory: after a restart nodes wait until the controller has made theirs again.",
                "Name an aclfile in its configuration.",
            )
        )
    found += _clock(name, ahead)
    return found or [fine("redis", f"{name} {version} keeps what it is given.")]


def of_postgres() -> list[Diagnosis]:
    """Queries twice, and for the migrations."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, setting FROM pg_settings")
            settings = dict(cursor.fetchall())
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp())::float, (SELECT count(*) FROM pg_stat_activity),"
                " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
                " coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
            )
            at, sessions, is_super, encrypted = cursor.fetchone()
            ours = time.time()
        migrations = _migrations()
    except DatabaseError as error:
        return [
            fault(
                "postgres_unreachable",
                f"PostgreSQL does not answer: {type(error.__cause__ or error).__name__}.",
                "Start it, or mend DATABASE_URL: requests are served meanwhile, and nothing can be changed.",
            )
        ]
    is_local = all(map(is_loopback, str(connection.settings_dict["HOST"]).split(",")))
    return [*judge_postgres(settings, at - ours, sessions, is_super, encrypted or is_local), *migrations]


def judge_postgres(
    settings: Mapping[str, str], ahead: float, sessions: int, is_super: bool, safe: bool
) -> list[Diagnosis]:
    """``settings``: its own by name; ``safe``: nobody on the way can read along. Pure."""
    found = []
    version = int(settings.get("server_version_num", "0")) // 10_000
    if version < OLDEST_POSTGRES:
        found.append(fault("postgres_old", f"PostgreSQL is {version}.", "Take PostgreSQL 14 or newer."))
    found += [
        fault("postgres_loses", f"PostgreSQL has {name} off: what it said is kept may be lost.", f"Set {name} = on.")
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if settings.get(name) == "off"
    ]
    if settings.get("autovacuum") == "off":
        found.append(
            warning("postgres_vacuum", "PostgreSQL has autovacuum off: it only grows.", "Set autovacuum = on.")
        )
    most = int(settings.get("max_connections", "0"))
    if most and sessions > FULL * most:
        found.append(
            warning("postgres_connections", f"PostgreSQL has {sessions} of {most} sessions.", "Raise max_connections.")
        )
    if is_super:
        found.append(
            warning(
                "postgres_superuser",
                "What serves requests is a superuser of PostgreSQL: it could alter the audit trail and read every tenant.",
                "Name the tables' owner in DATABASE_OWNER_URL and another user in DATABASE_URL, then `ollamamax prepare`.",
            )
        )
    if not safe:
        found.append(
            fault(
                "postgres_plain", "The way to PostgreSQL is not encrypted.", "Add sslmode=verify-full to DATABASE_URL."
            )
        )
    found += _clock("PostgreSQL", ahead)
    return found or [fine("postgres", f"PostgreSQL {version} keeps what it is given.")]


def _migrations() -> list[Diagnosis]:
    executor = MigrationExecutor(connection)
    missing = [f"{m.app_label}.{m.name}" for m, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    ours = set(executor.loader.disk_migrations)
    apps = {app for app, _ in ours}
    later = sorted(
        f"{app}.{name}" for app, name in executor.loader.applied_migrations if app in apps and (app, name) not in ours
    )
    found = []
    if missing:
        found.append(
            fault(
                "migrations_missing",
                f"The database lacks {len(missing)} migrations, {missing[0]} first.",
                "ollamamax prepare",
            )
        )
    if later:
        found.append(
            warning(
                "migrations_later",
                f"The database has migrations of a later release ({later[-1]}).",
                "Update this machine too, unless you are amid an upgrade or went back on purpose.",
            )
        )
    return found or [fine("migrations", "The database has every migration of this release.")]


def _clock(name: str, ahead: float) -> list[Diagnosis]:
    if abs(ahead) < CLOCK_SECONDS:
        return []
    where = "ahead of" if ahead > 0 else "behind"
    return [
        warning(
            "clock", f"The clock of {name} is {abs(ahead):.0f} s {where} this machine's.", "Set both by NTP (chrony)."
        )
    ]


def _is_local(url: str) -> bool:
    if sentinels.named(url):
        return all(is_loopback(host) for host, _ in sentinels.of(url).places)
    parts = urlsplit(url)
    return parts.scheme == "unix" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """An empty one, and a path, stand for a socket."""
    return host in {"", "localhost", "::1"} or host.startswith(("127.", "/"))
