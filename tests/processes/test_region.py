"""A gateway that is told its region sends requests to nodes of it, as long as these are as good as others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ollamamax.bus import directory
from ollamamax.contract import Delta, Event, Final, Ticket
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site, site
from tests.patience import until
from tests.processes.test_gateway import ASK, _post, gateway
from tests.servers import free_port

__all__ = ["site"]


async def _slowly(ticket: Ticket) -> AsyncIterator[Event]:
    await asyncio.sleep(0.3)
    yield Delta(text="x", tokens=1)
    yield Final("stop", prompt_tokens=1, completion_tokens=1)


async def _node(site: Site, region: str) -> FakeNode:
    node = await site.add_node(script=_slowly, capacity=2)
    entry = {"tenant": site.tenant, "name": f"in-{region}", "schedulable": True, "shared": False, "region": region}
    directory.publish(site.client, "nodes", {node.node: msgspec.json.encode(entry)})
    return node


async def _ask(site: Site, port: int, number: int) -> None:
    body = {**ASK, "stream": False, "messages": [{"role": "user", "content": f"something new {number}"}]}
    async with _post(site, port, body) as response:
        assert response.status == 200


async def test_near_nodes_are_first_and_far_ones_take_what_is_too_much(site: Site, tmp_path: Path) -> None:
    near, far = await _node(site, "eu"), await _node(site, "us")
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port, OLLAMAMAX_REGION="eu"):
        for number in range(6):
            await _ask(site, port, number)
        assert (len(near.tickets), len(far.tickets)) == (6, 0)
        await until(lambda: len(site.usage()) == 6)
        told = {each["node_name"]: each["parts"]["region"] for each in site.usage()[-1]["route"]["candidates"]}
        assert told == {"in-eu": 1.0, "in-us": 0.0}
        await asyncio.gather(*(_ask(site, port, number) for number in range(6, 10)))
        assert len(far.tickets) == 2
