"""Bodies that one tenant sends at once are bounded by their bytes, whatever becomes of them, and take nothing from another tenant."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from ollamamax.gateway.body_memory import LEAST, Body, HeldBytes, TooManyBytes
from tests.gateway.conftest import BOUNDS, Site
from tests.gateway.test_intake import Client
from tests.gateway.waiting import ASK
from tests.patience import LONG, until

LONG_BODY = b'{"model": "echo", "messages": [{"role": "user", "content": "' + b"a" * 60_000


async def test_more_bytes_than_a_tenant_may_send_at_once_are_refused(site: Site) -> None:
    await site.add_node()
    assert BOUNDS.bytes_of_tenant < 2 * len(LONG_BODY)
    other = await site.issue_key("f" * 32)
    async with contextlib.AsyncExitStack() as stack:

        async def begun(key: str) -> Client:
            client = Client(site, "/v1/chat/completions", key, LONG_BODY, 90_000)
            await client.open()
            stack.callback(client.writer.close)
            return client

        await begun(site.key)
        await until(lambda: site.gateway._held._of == {site.tenant: len(LONG_BODY)})
        second = await begun(site.key)
        async with asyncio.timeout(LONG):
            head = await second.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 2" in head.lower()
        async with site.post("/v1/chat/completions", ASK) as response:
            assert response.status == 200, "short ones are not counted"
        await begun(other)
        await until(lambda: len(site.gateway._held._of) == 2)
    await until(lambda: not site.gateway._held._of)
    whole = {**ASK, "messages": [{"role": "user", "content": "a " * 30_000}]}
    async with site.post("/v1/chat/completions", whole) as response:
        assert response.status == 200
    await until(lambda: not site.gateway._held._of)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_counted_is_what_is_held_and_never_too_much(seed: int) -> None:
    draw = random.Random(seed)
    held = HeldBytes(10 * LEAST, 4 * LEAST)
    bodies: list[tuple[str, Body, int]] = []
    for _ in range(400):
        if bodies and draw.random() < 0.3:
            bodies.pop(draw.randrange(len(bodies)))[1].leave()
        elif bodies and draw.random() < 0.5:
            number = draw.randrange(len(bodies))
            owner, body, size = bodies[number]
            more = draw.randrange(LEAST)
            try:
                body.grow(more)
            except TooManyBytes:
                body.leave()
                bodies.pop(number)
            else:
                bodies[number] = (owner, body, size + more)
        else:
            owner = draw.choice("abcd")
            bodies.append((owner, held.body(owner), 0))
        counted = [(owner, size) for owner, _, size in bodies if size > LEAST]
        assert held._all == sum(size for _, size in counted)
        for owner in "abcd":
            own = [size for each, size in counted if each == owner]
            assert held._of.get(owner, 0) == sum(own)
            assert sum(own) <= held._most_of_owner or len(own) == 1
        assert held._all <= held._most or len(counted) == 1
    for _, body, _ in bodies:
        body.leave()
        body.leave()
    assert (held._all, held._of) == (0, {})
