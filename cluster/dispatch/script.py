"""The Redis functions beside this module, called by their hash alone.

Each is made of four texts: the names of its keys (from `ollamamax.bus.keys`, the one place that knows them), `budgets.lua`,
`shared.lua`, and its own. It names keys that it was not told in advance, which one Redis for each region allows and a Redis Cluster
would not. Arguments are one MessagePack map, and what is not text (the ticket) after it.

redis-py's own scripts ask Redis before every pipeline whether it knows them: one round trip more for each settlement.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import redis
from redis.exceptions import NoScriptError

from ollamamax.bus import keys
from ollamamax.bus.link import Command
from ollamamax.bus.pipelined import Pipelined

Arguments = Sequence[bytes]
"""What `arguments` made, for one call."""
Do = Callable[..., Awaitable[Any]]
"""Sends a command: `Pipelined.do`, or the ``execute_command`` of one of redis-py's clients."""

_NAMES = {
    "abandoned": keys.ABANDONED,
    "budgets_told": keys.BUDGETS_TOLD,
    "large": keys.LARGE,
    "open": keys.OPEN,
    "reserved": keys.RESERVED,
    "usage": keys.USAGE,
    "waiting": keys.WAITING,
    "work": keys.WORK,
}
_ONE: tuple[Callable[[str], str], ...] = (
    keys.active,
    keys.drained,
    keys.gateway_alive,
    keys.granted,
    keys.kept,
    keys.node_drain,
    keys.node_inbox,
    keys.node_queue,
    keys.node_slots,
    keys.node_state,
    keys.queue_entry,
    keys.queue_node,
    keys.queue_tenant,
    keys.recent,
    keys.returns,
)
_TWO: tuple[Callable[[str, str], str], ...] = (keys.queue_node_tenant, keys.rate, keys.spent)


def arguments(named: dict[str, Any] | msgspec.Struct, *binary: bytes) -> Arguments:
    return [msgspec.msgpack.encode(named), *binary]


# -- the message that wakes a node -----------------------------------------------------------------------------------
# Written without Celery, so that a function can push it: its protocol 2
# (https://docs.celeryq.dev/en/stable/internals/protocol.html) in kombu's form for Redis.

_EMPTY_CALL = base64.b64encode(
    json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
).decode()


_WAKE_MESSAGE = json.dumps(
    {
        "body": _EMPTY_CALL,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": "cluster.drain_inbox",
            "id": "@ID@",
            "root_id": "@ID@",
            "parent_id": None,
            "group": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "ignore_result": True,
            "traceparent": "@TRACE@",
        },
        "properties": {
            "correlation_id": "@ID@",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "@QUEUE@"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "@ID@",
        },
    },
    separators=(",", ":"),
)
"""A `cluster.drain_inbox` task; the name of the node's queue goes to ``@QUEUE@``, an id and a trace context to the others."""


@cache
def source(name: str) -> str:
    """The whole text of the function ``name``.lua."""
    return "\n".join([_names(), _file("budgets"), _file("shared"), _file(name)])


def _file(name: str) -> str:
    return resources.files("cluster.dispatch").joinpath(f"{name}.lua").read_text()


def _names() -> str:
    """The table ``key``: the same names and functions as in `ollamamax.bus.keys`."""
    lines = ["local key = {}"]
    lines += [f"key.{name} = '{value}'" for name, value in _NAMES.items()]
    for one in _ONE:
        before, after = one("\0").split("\0")
        lines.append(f"function key.{one.__name__}(a) return '{before}' .. a .. '{after}' end")
    for two in _TWO:
        before, between, after = two("\0", "\0").split("\0")
        lines.append(f"function key.{two.__name__}(a, b) return '{before}' .. a .. '{between}' .. b .. '{after}' end")
    return "\n".join([*lines, f"local wake_message = [==[{_WAKE_MESSAGE}]==]"])


class Script:
    """One function. Redis is told its text when it says that it does not know it: at first, and after a restart."""

    def __init__(self, name: str) -> None:
        self._text = source(name)
        self._hash = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, do: Do, call: Arguments) -> Any:
        """Call it. Raises `RedisError`."""
        try:
            return await do("EVALSHA", self._hash, 0, *call)
        except NoScriptError:
            return await do("EVAL", self._text, 0, *call)

    def run_sync(self, client: redis.Redis, call: Arguments) -> Any:
        """The same, for the control plane's loops."""
        try:
            return client.execute_command("EVALSHA", self._hash, 0, *call)
        except NoScriptError:
            return client.eval(self._text, 0, *call)

    async def run_all(self, commands: Pipelined, calls: Sequence[Arguments]) -> list[Any]:
        """Call it for each of ``calls`` in one round trip; the answer of one that Redis refused is its error, and the others have run.

        Raises `RedisError` when it is not known which have.
        """
        evaluations: list[Command] = [("EVALSHA", self._hash, 0, *call) for call in calls]
        answers = await commands.do_each(evaluations)
        unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await commands.do("SCRIPT", "LOAD", self._text)
            again = await commands.do_each([evaluations[number] for number in unknown])
            for number, answer in zip(unknown, again, strict=True):
                answers[number] = answer
        return answers
