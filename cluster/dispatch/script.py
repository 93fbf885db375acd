"""Redis functions beside this module, called by their hash alone.

redis-py's own scripts ask Redis before every pipeline whether it knows them: one round trip more for each settlement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError

Call = tuple[Sequence[str], Sequence[Any]]
"""The keys and the arguments of one call."""


def source(name: str) -> str:
    """The text of ``name``.lua."""
    return resources.files("cluster.dispatch").joinpath(f"{name}.lua").read_text()


class Script:
    """One function. Redis is told its text when it says that it does not know it: at first, and after a restart."""

    def __init__(self, name: str) -> None:
        self._text = source(name)
        self._hash = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: redis.asyncio.Redis, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Call it. Raises `RedisError`."""
        try:
            return await client.execute_command("EVALSHA", self._hash, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.eval(self._text, len(keys), *keys, *arguments)

    async def run_all(self, client: redis.asyncio.Redis, calls: Sequence[Call]) -> None:
        """Call it for each of ``calls`` in one round trip; when one raises, others may have run. Raises `RedisError`."""
        if len(calls) == 1:
            await self.run(client, *calls[0])
            return
        try:
            await self._pipeline(client, calls)
        except NoScriptError:
            await client.script_load(self._text)
            await self._pipeline(client, calls)

    async def _pipeline(self, client: redis.asyncio.Redis, calls: Sequence[Call]) -> None:
        async with client.pipeline(transaction=False) as pipe:
            for keys, arguments in calls:
                pipe.execute_command("EVALSHA", self._hash, len(keys), *keys, *arguments)
            await pipe.execute()
