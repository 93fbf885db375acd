"""Hearing what others publish, on a real Valkey."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from ollamamax.bus import link
from ollamamax.bus.subscription import Hearing
from ollamamax.embedded.valkey import TemporaryValkey
from tests.patience import LONG
from tests.servers import free_port


class Heard(list[tuple[bytes, bytes]]):
    """Channel and data of what came."""

    def hear(self, channel: bytes, data: bytes) -> None:
        self.append((channel, data))

    async def first(self, count: int) -> Heard:
        async with asyncio.timeout(LONG):
            while len(self) < count:
                await asyncio.sleep(0.01)
        return self


def nothing(channel: bytes, data: bytes) -> None:
    pytest.fail(f"{data!r} was not expected on {channel!r}.")


async def test_channels_and_patterns_are_heard_in_their_order(redis_url: str, valkey: redis.Redis) -> None:
    heard = Heard()
    async with Hearing(redis_url, heard.hear, channels=["a", "b"], patterns=["c:*", "d:*"]):
        sent = [("a", "1"), ("c:1", "2"), ("elsewhere", "3"), ("d:2", "4"), ("b", ""), ("a", "x" * 1_000_000)] * 50
        pipe = valkey.pipeline(transaction=False)
        for channel, data in sent:
            pipe.publish(channel, data)
        await asyncio.to_thread(pipe.execute)
        expected = [(channel.encode(), data.encode()) for channel, data in sent if channel != "elsewhere"]
        assert await heard.first(len(expected)) == expected


async def test_it_is_subscribed_once_it_is_entered_and_no_more_once_it_is_left(
    redis_url: str, valkey: redis.Redis
) -> None:
    async with Hearing(redis_url, Heard().hear, channels=["only"]):
        assert valkey.publish("only", "now") == 1
    for _ in range(100):
        if not valkey.publish("only", "later"):
            return
        await asyncio.sleep(0.02)
    pytest.fail("still subscribed")


async def test_a_broken_connection_is_told_after_what_came_before(redis_url: str, valkey: redis.Redis) -> None:
    heard = Heard()
    async with Hearing(redis_url, heard.hear, channels=["only"]) as subscription:
        valkey.publish("only", "last")
        valkey.client_kill_filter(_type="pubsub")
        await asyncio.wait_for(subscription.broken(), LONG)
        assert heard == [(b"only", b"last")]


async def test_a_server_that_says_nothing_any_more_is_noticed_without_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.2)
    server = TemporaryValkey(tmp_path / "valkey", free_port())
    try:
        async with Hearing(server.url, nothing, channels=["only"]) as subscription:
            await asyncio.sleep(0.5)  # it answers, though nothing is published
            os.kill(server.process.pid, signal.SIGSTOP)
            await asyncio.wait_for(subscription.broken(), LONG)
            with pytest.raises(RedisError):
                await Hearing(server.url, nothing, channels=["only"]).__aenter__()
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        server.stop()
