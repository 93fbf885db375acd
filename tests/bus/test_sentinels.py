"""Addresses that name Sentinels, and which of their words counts. How it fares with real ones is in `tests/gateway/test_failover.py`."""

from __future__ import annotations

import ssl

import pytest
import redis

from ollamamax import env_forms
from ollamamax.bus import sentinels
from ollamamax.bus.broker import broker_options, broker_url
from ollamamax.bus.connect import (
    PrimaryTLSConnection,
    database_of,
    elsewhere,
    pool_options,
    primary_options,
)
from ollamamax.bus.sentinels import NoPrimary, Place, ToldPrimary
from ollamamax.settings import database

URL = "rediss+sentinel://u:p%25w@s1,s2:26380,[::1]:1/bus/3?ssl_ca_certs=/ca.pem&sentinel_username=w&sentinel_password=of-them"


def test_an_address_says_who_is_asked_and_as_whom() -> None:
    which = sentinels.of(URL)
    assert which.places == (("s1", 26379), ("s2", 26380), ("::1", 1))
    assert (which.service, which.majority, database_of(URL)) == ("bus", 2, 3)
    options = primary_options(URL)
    assert (options["username"], options["password"], options["ssl_ca_certs"]) == ("u", "p%w", "/ca.pem")
    made = PrimaryTLSConnection(**{k: v for k, v in options.items() if k != "connection_class"})
    assert made.cert_reqs == ssl.CERT_REQUIRED
    assert "host" not in pool_options(URL)
    own = which.options_of(("s1", 26379))
    assert (own["username"], own["password"], own["host"], own["ssl_ca_certs"]) == ("w", "of-them", "s1", "/ca.pem")
    assert "db" not in own
    assert (broker_url(URL), broker_options(URL)) == ("primary://", {"address": URL})
    assert sentinels.passwords(URL) == {"p%25w", "of-them"}


def test_a_node_is_told_no_password_of_the_control_plane() -> None:
    told = elsewhere("redis://node.1:own@", sentinels.without_their_password(URL))
    assert told == "rediss+sentinel://node.1:own@s1,s2:26380,[::1]:1/bus/3?ssl_ca_certs=%2Fca.pem"


@pytest.mark.parametrize(
    "text",
    [
        "redis+sentinel://s1:1,s2:2",
        "redis+sentinel://s1:1,s2:2/bus/x",
        "redis+sentinel://,s2:2/bus",
        "redis+sentinel://s1:x/bus",
        "sentinel://s1/bus",
    ],
)
def test_what_is_no_address_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        env_forms.redis_url(text)


def test_regions_may_name_sentinels() -> None:
    found = env_forms.regions("eu=redis+sentinel://a:1,b:2/bus/0?sentinel_password=x=y, us=rediss://u:p@r/0")
    assert found == {"eu": "redis+sentinel://a:1,b:2/bus/0?sentinel_password=x=y", "us": "rediss://u:p@r/0"}


async def test_the_newest_word_of_a_majority_counts_and_a_silent_one_is_not_waited_for() -> None:
    which = sentinels.Sentinels((("a", 1), ("b", 2), ("c", 3)), "bus", {}, {})
    words = {"a": ToldPrimary(("old", 1), 3), "b": ToldPrimary(("new", 1), 4)}

    async def ask(place: Place) -> ToldPrimary:
        if place[0] not in words:
            raise redis.ConnectionError
        return words[place[0]]

    assert await which.find(ask) == ("new", 1)
    words.clear()
    assert await which.find(ask) == ("new", 1), "for a moment it is known"
    which.forget()
    with pytest.raises(NoPrimary):
        await which.find(ask)


def test_of_several_hosts_of_postgres_the_one_that_may_be_written_is_wanted() -> None:
    url = env_forms.postgres_url("postgresql://u:p%40w@one:5433,two/db?sslmode=verify-full")
    found = database(url)
    assert (found["HOST"], found["PORT"], found["NAME"], found["PASSWORD"]) == ("one,two", "5433,", "db", "p@w")
    options = found["OPTIONS"]
    assert isinstance(options, dict)
    assert (options["target_session_attrs"], options["sslmode"]) == ("read-write", "verify-full")
    assert "connection_class" in options["pool"]
    assert "connection_class" not in database("postgresql://u@one/db")["OPTIONS"]["pool"]  # type: ignore[index]
    assert env_forms.postgres_url("postgresql://u@one/db") == "postgresql://u@one/db"
