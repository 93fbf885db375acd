"""Looks at whether a store's successor would take over, and what would be lost then: Sentinels and replicas of Redis, hosts of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import redis
from django.db import DatabaseError, connection

from ollamamax.bus import sentinels
from ollamamax.bus.regions import Region
from ollamamax.bus.sentinels import Place, ToldPrimary
from ollamamax.doctor.diagnosis import Diagnosis, fault, fine, warning


def of_redis(region: Region) -> list[Diagnosis]:
    """Of a region whose address names Sentinels; of another one nothing."""
    if not sentinels.named(region.redis_url):
        return []
    which = sentinels.of(region.redis_url)
    answers: dict[Place, ToldPrimary | None] = {}
    for place in which.places:
        try:
            answers[place] = which.ask(place)
        except (redis.RedisError, OSError):
            answers[place] = None
    facts: Mapping[str, Any] = {}
    settings: Mapping[str, str] = {}
    try:
        facts = region.client.info("replication")
        settings = {
            key.decode() if isinstance(key, bytes) else key: value.decode() if isinstance(value, bytes) else value
            for key, value in region.client.config_get("min-replicas*").items()
        }
    except redis.ResponseError:
        settings = {}  # a hosted one
    except redis.RedisError:
        return judge_sentinels(which.service, answers, None, {})
    return judge_sentinels(which.service, answers, int(facts.get("connected_slaves", 0)), settings)


def judge_sentinels(
    service: str, answers: Mapping[Place, ToldPrimary | None], replicas: int | None, settings: Mapping[str, str]
) -> list[Diagnosis]:
    """``answers``: of each Sentinel, ``None`` of one that is silent; ``replicas``: of the primary, ``None`` where it is silent. Pure."""
    found = []
    silent = [f"{host}:{port}" for (host, port), told in answers.items() if told is None]
    places = {told.place for told in answers.values() if told is not None}
    if 2 * len(silent) >= len(answers):
        found.append(
            fault(
                "sentinels_silent",
                f"{len(silent)} of {len(answers)} Sentinels do not answer ({', '.join(silent)}): nobody could take over.",
                "Start them, or mend the address.",
            )
        )
    elif silent:
        found.append(warning("sentinel_silent", f"Sentinel {', '.join(silent)} does not answer.", "Start it."))
    if len(places) > 1:
        found.append(
            warning(
                "sentinels_differ", f"Sentinels name {len(places)} primaries of '{service}'.", "Look at their logs."
            )
        )
    if len(answers) < 3:
        found.append(
            warning(
                "sentinels_few",
                f"There are {len(answers)} Sentinels: when one's machine is lost nobody takes over.",
                "Run three, on machines of their own, and name them all.",
            )
        )
    if replicas == 0:
        found.append(fault("redis_alone", "The primary has no replica that follows it.", "Start one."))
    if settings.get("min-replicas-to-write") == "0":
        found.append(
            warning(
                "redis_cut_off",
                "A primary that is cut off from the others goes on writing what will be lost.",
                "CONFIG SET min-replicas-to-write 1 and min-replicas-max-lag 10 on every server, where there are two replicas.",
            )
        )
    return found or [fine("sentinels", f"{len(answers)} Sentinels agree on the primary of '{service}'.")]


def of_postgres() -> list[Diagnosis]:
    """Of a database with several hosts; of another one nothing. Queries once, and connects to each host."""
    values = connection.settings_dict
    hosts = str(values["HOST"]).split(",")
    if len(hosts) == 1:
        return []
    ports = (str(values["PORT"]) or "5432").split(",")
    roles: list[bool | None] = []
    for host, port in zip(hosts, ports if len(ports) > 1 else ports * len(hosts), strict=True):
        options: dict[str, Any] = {
            name: value for name, value in values["OPTIONS"].items() if name not in {"pool", "target_session_attrs"}
        } | {"connect_timeout": 2}
        try:
            with psycopg.connect(
                host=host,
                port=port,
                dbname=values["NAME"],
                user=values["USER"],
                password=values["PASSWORD"],
                **options,
            ) as one:
                row = one.execute("SELECT pg_is_in_recovery()").fetchone()
                roles.append(None if row is None else not row[0])
        except psycopg.Error:
            roles.append(None)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('synchronous_standby_names'), count(*) FROM pg_stat_replication")
            synchronous, following = cursor.fetchone()
    except DatabaseError:
        synchronous, following = "", 0
    return judge_hosts(roles, following, bool(synchronous))


def judge_hosts(roles: Sequence[bool | None], following: int, synchronous: bool) -> list[Diagnosis]:
    """``roles``: of each host whether it may be written, ``None`` where it is silent; ``following``: standbys of the primary. Pure."""
    found = []
    if (silent := roles.count(None)) > 0:
        found.append(warning("postgres_host_silent", f"{silent} of {len(roles)} hosts do not answer.", "Start them."))
    if (writable := roles.count(True)) > 1:
        found.append(
            fault(
                "postgres_split",
                f"{writable} hosts of PostgreSQL may be written: one was replaced, and came back as if it were not.",
                "Stop that one at once, and make it a standby anew (pg_rewind, pg_basebackup).",
            )
        )
    if not following:
        found.append(fault("postgres_alone", "No standby follows the primary.", "Start one."))
    elif not synchronous:
        found.append(
            warning(
                "postgres_asynchronous",
                "A standby may lack what the primary said last: it would be lost with the primary.",
                "Set synchronous_standby_names on every host, with two standbys, or one that you can miss.",
            )
        )
    return found or [fine("postgres_hosts", f"{following} standbys follow the primary.")]
