"""Many commands over one connection, on a real Valkey."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Broken

from ollamamax.bus import link
from ollamamax.bus.pipelined import Pipelined
from ollamamax.embedded.valkey import TemporaryValkey
from tests.servers import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TemporaryValkey]:
    """One that a test may end."""
    started = TemporaryValkey(tmp_path / "valkey", free_port())
    yield started
    if started.process.poll() is None:
        started.process.send_signal(signal.SIGCONT)
        started.stop()


async def test_each_of_many_tasks_gets_its_own_answer(redis_url: str) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:

        async def ask(number: int) -> None:
            if number % 3:
                assert await commands.do("ECHO", f"{number}") == f"{number}".encode()
            else:
                key = f"pipelined:{number}"
                assert await commands.do_all([("SET", key, number), ("INCR", key), ("GET", key)]) == [
                    b"OK",
                    number + 1,
                    f"{number + 1}".encode(),
                ]

        await asyncio.gather(*map(ask, range(1000)))


async def test_one_connection_is_enough(redis_url: str, valkey: redis.Redis) -> None:
    before = valkey.info("clients")["connected_clients"]
    async with aclosing(Pipelined(redis_url)) as commands:
        await asyncio.gather(*(commands.do("PING") for _ in range(100)))
        assert valkey.info("clients")["connected_clients"] == before + 1


async def test_what_redis_refuses_is_raised_by_its_kind_and_the_others_go_on(redis_url: str) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        await commands.do("SET", "pipelined:text", "no number")
        with pytest.raises(NoScriptError):
            await commands.do("EVALSHA", "0" * 40, 0)
        with pytest.raises(ResponseError, match="not an integer"):
            await commands.do_all([("SET", "pipelined:a", 1), ("INCR", "pipelined:text"), ("SET", "pipelined:b", 2)])
        assert await commands.do("MGET", "pipelined:a", "pipelined:b") == [b"1", b"2"]
        with pytest.raises(ResponseError, match="not an integer"):
            await commands.do_all([("MULTI",), ("INCR", "pipelined:text"), ("EXEC",)])
        assert await commands.do("PING") == b"PONG"


async def test_a_caller_that_leaves_leaves_the_answers_of_the_others_in_order(redis_url: str) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        waits = asyncio.create_task(commands.do("BLPOP", "pipelined:nothing", 0.3))
        await asyncio.sleep(0.05)
        after = asyncio.create_task(commands.do("ECHO", "after"))
        await asyncio.sleep(0.05)
        waits.cancel()
        assert await after == b"after"
        assert waits.cancelled()


async def test_a_broken_connection_is_made_again_and_its_commands_are_sent_again(
    redis_url: str, valkey: redis.Redis
) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        own = await commands.do("CLIENT", "ID")
        waits = asyncio.create_task(commands.do("BLPOP", "pipelined:later", 3))
        await asyncio.sleep(0.1)
        valkey.client_kill_filter(_id=str(own))
        await asyncio.sleep(0.1)
        valkey.rpush("pipelined:later", "came")
        assert await waits == [b"pipelined:later", b"came"]
        assert await commands.do("CLIENT", "ID") != own


async def test_what_takes_from_a_list_is_not_sent_again(redis_url: str, valkey: redis.Redis) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        own = await commands.do("CLIENT", "ID")
        takes = asyncio.create_task(commands.do_all([("BLPOP", "pipelined:taken", 3)], once=True))
        await asyncio.sleep(0.1)
        valkey.client_kill_filter(_id=str(own))
        with pytest.raises(Broken):
            await takes
        valkey.rpush("pipelined:taken", "stays")
        assert await commands.do("LLEN", "pipelined:taken") == 1


async def test_a_server_that_is_away_or_silent_is_an_error_and_no_wait_for_ever(
    server: TemporaryValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.3)
    async with aclosing(Pipelined(server.url)) as commands:
        assert await commands.do("PING") == b"PONG"
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(RedisError):
            await asyncio.gather(*(commands.do("PING") for _ in range(10)))
        os.kill(server.process.pid, signal.SIGCONT)
        assert await commands.do("PING") == b"PONG"
        server.stop()
        with pytest.raises(Broken):
            await commands.do("PING")


async def test_it_says_who_it_is_and_chooses_the_database(server: TemporaryValkey) -> None:
    admin = redis.Redis.from_url(server.url)
    admin.acl_setuser("some", enabled=True, passwords=["+secr%t"], keys=["*"], commands=["+@all"])
    address = server.url.removeprefix("redis://").removesuffix("/0")
    async with aclosing(Pipelined(f"redis://some:secr%25t@{address}/3")) as commands:
        assert await commands.do("ACL", "WHOAMI") == b"some"
        await commands.do("SET", "here", 1)
    assert redis.Redis.from_url(f"redis://{address}/3").exists("here")
    async with aclosing(Pipelined(f"redis://some:wrong@{address}")) as commands:
        with pytest.raises(AuthenticationError):
            await commands.do("PING")
