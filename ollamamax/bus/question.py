"""A question that is published in Redis, and its first answer, which is waited for only so long, and of which only so much is read."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import async_to_sync

from ollamamax.bus.link import Broken, opened, pack
from ollamamax.bus.subscription import Hearing


def first_answer(url: str, channel: str, question: bytes, *, heard_on: str, seconds: float, most: int) -> bytes | None:
    """Publish ``question`` on ``channel``, and take what is then first published on ``heard_on``, which is that question's alone.

    ``None`` where nobody hears the question, or nobody answers within ``seconds``. Raises `RedisError`, also for an answer of more than
    ``most`` bytes, of which no more than those are read.
    """
    return async_to_sync(_first_answer)(url, channel, question, heard_on, seconds, most)


async def _first_answer(
    url: str, channel: str, question: bytes, heard_on: str, seconds: float, most: int
) -> bytes | None:
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def hear(_: bytes, data: bytes) -> None:
        if not first.done():
            first.set_result(data)

    # The names of the protocol and of the channel come with an answer.
    async with Hearing(url, hear, channels=[heard_on], most=most + 1024) as hearing:
        asking = await opened(url)
        try:
            heard = await asking.send(pack(("PUBLISH", channel, question)), None)
        finally:
            asking.close()
        if not heard:
            return None
        broken: asyncio.Future[None] = asyncio.ensure_future(hearing.broken())
        try:
            both: set[asyncio.Future[Any]] = {first, broken}
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            broken.cancel()
        if first.done():
            return first.result()
        if broken.done() and not broken.cancelled():
            raise Broken("The connection broke before an answer had been read, or the answer is too long.")
        return None
