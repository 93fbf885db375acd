"""Every subscriber behind a connection that stays open and passes nothing any more: each hears again, over a new one."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, cast

import pytest
import redis

from cluster.dispatch.token_streams import TokenStreams
from cluster.fleet.fleet import Fleet
from cluster.fleet.node_allowance import NodeAllowances
from cluster.worker.control import Listener
from ollamamax.bus import connect, keys, link
from ollamamax.bus.background import Background
from ollamamax.bus.directory import Directory, publish, reconcile
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Subscription
from ollamamax.contract import encode_json
from ollamamax.contract.tables import NODES, Table
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from tests.architecture.code import called_name, modules
from tests.fakes.state import node_state
from tests.halting import HaltingWay
from tests.patience import LONG, until

Said = list[str]
"""What was heard."""
Subscriber = Callable[[str, redis.Redis, Said], AbstractAsyncContextManager[Callable[[str], None]]]
"""Listens at a URL; the context is how others say a word to it, which is in ``Said`` once it was heard."""


@asynccontextmanager
async def plain(url: str, valkey: redis.Redis, said: Said) -> AsyncIterator[Callable[[str], None]]:
    heard = Subscription("plain", url, lambda _, data: said.append(data.decode()), channels=["words"])
    task = asyncio.create_task(heard.run())
    await heard.listening.wait()
    yield lambda word: cast("None", valkey.publish("words", word))
    await end([task])


@asynccontextmanager
async def directory(url: str, valkey: redis.Redis, said: Said) -> AsyncIterator[Callable[[str], None]]:
    reconcile(valkey, "words", dict)
    made = Directory(url, [Table("words", str.encode, bytes.decode)])
    made.on_change(lambda _, fields: said.extend(fields))
    await made.start()
    await made.wait_loaded()
    yield lambda word: publish(valkey, "words", {word: b""})
    await made.stop()


@asynccontextmanager
async def fleet(url: str, valkey: redis.Redis, said: Said) -> AsyncIterator[Callable[[str], None]]:
    node, background = new_id(), Background()
    reconcile(valkey, "nodes", dict)
    async with aclosing(connect.connect_async(url)) as client:
        made = Fleet(url, client, Directory(url, [NODES]), NodeAllowances(), background)
        await made.start()

        def say(word: str) -> None:
            state = node_state(node, agent_version=word)
            valkey.publish(keys.node_state_channel(node), encode_json(state))

        async def look() -> None:
            while True:
                if node in made._states and made._states[node].agent_version not in said:
                    said.append(made._states[node].agent_version)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(look())
        yield say
        await end([task])
        await background.stop()


@asynccontextmanager
async def streams(url: str, valkey: redis.Redis, said: Said) -> AsyncIterator[Callable[[str], None]]:
    gateway, listening = new_id(), asyncio.Event()

    async def ready() -> None:
        listening.set()

    async with aclosing(Pipelined(url)) as commands:
        made = TokenStreams(
            gateway,
            commands,
            url,
            lambda ticket, _: said.append(ticket),
            lambda ticket, _: None,
            NodeAllowances(),
            Background(),
        )
        task = asyncio.create_task(made.receive(ready))
        await listening.wait()
        yield lambda word: cast("None", valkey.publish(keys.granted(gateway), f"{word} node"))
        await end([task])


@asynccontextmanager
async def node_control(url: str, valkey: redis.Redis, said: Said) -> AsyncIterator[Callable[[str], None]]:
    class Obedient(Listener):
        def obey(self, data: bytes) -> None:
            said.append(data.decode("latin-1"))

    node = new_id()
    made = Obedient(url, node, *[cast("Any", None)] * 4)
    task = asyncio.create_task(made.listen())
    await made.listening.wait()
    yield lambda word: cast("None", valkey.publish(keys.node_control(node), word))
    await end([task])


@pytest.mark.parametrize("subscriber", [plain, directory, fleet, streams, node_control])
async def test_who_listens_on_a_connection_that_passes_nothing_hears_again(
    redis_url: str, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, subscriber: Subscriber
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.2)
    said: Said = []
    async with HaltingWay(redis_url) as way, subscriber(way.url, valkey, said) as say:
        say("before")
        await until(lambda: "before" in said)
        way.halt()
        before = way.accepted

        def again() -> bool:
            # What is only told is lost while nobody hears it: it is told until it is heard.
            say("after")
            return "after" in said

        await until(again, 30)
        assert way.accepted > before


async def test_what_was_published_between_two_connections_is_loaded(
    redis_url: str, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.2)
    loads, held = [], valkey.set("held", "first")

    async def load() -> None:
        loads.append(await asyncio.to_thread(valkey.get, "held"))

    async with HaltingWay(redis_url) as way:
        heard = Subscription("held", way.url, lambda *_: None, channels=["held"], load=load)
        task = asyncio.create_task(heard.run())
        await heard.listening.wait()
        way.halt()
        held = valkey.set("held", "second")
        await until(lambda: loads[-1:] == [b"second"], 30)
        await end([task])
    assert loads[0] == b"first"
    assert held


async def test_a_load_that_fails_is_made_again_on_another_connection(redis_url: str) -> None:
    tries: list[int] = []
    background = Background()

    async def load() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise redis.ConnectionError("not yet")

    heard = Subscription("part", redis_url, lambda *_: None, channels=["c"], load=load, background=background)
    task = asyncio.create_task(heard.run())
    await asyncio.wait_for(heard.listening.wait(), LONG)
    assert len(tries) == 3
    assert background.problems() == {}
    await end([task])


def test_nobody_subscribes_by_a_loop_of_its_own() -> None:
    def subscribes(tree: ast.Module) -> bool:
        words = {"SUBSCRIBE", "PSUBSCRIBE"}
        return any(
            (isinstance(each, ast.Call) and called_name(each) == "pubsub")
            or (isinstance(each, ast.Constant) and each.value in words)
            for each in ast.walk(tree)
        )

    assert [str(path) for path, tree in modules() if subscribes(tree)] == ["ollamamax/bus/subscription.py"]
