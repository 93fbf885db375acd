"""A node that is tainted while it runs: `no_schedule` keeps what comes away, `no_execute` ends what runs, too."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from ollamamax.bus import directory
from ollamamax.contract.tables import NODES
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.gateway.test_recovery import ASK, WORDS, _goes_on, _tells_a_little, set_profile
from tests.patience import until


async def _taint(site: Site, node: FakeNode, taint: str) -> None:
    service = await site.gateway.start()
    held = service.directory.get(NODES, node.node)
    assert held is not None
    changed = msgspec.structs.replace(held, taints=[taint])
    directory.publish(site.client, NODES.name, {node.node: NODES.encode(changed)})
    await until(lambda: service.directory.get(NODES, node.node) == changed)


async def _text(site: Site) -> str:
    async with site.post("/api/chat", {**ASK, "stream": True}) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    return "".join(line["message"]["content"] for line in lines)


async def test_what_runs_on_a_node_that_is_tainted_for_execution_goes_on_elsewhere(site: Site) -> None:
    first = await site.add_node(script=_tells_a_little)
    answering = asyncio.create_task(_text(site))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    await _taint(site, first, "spot:no_execute")
    assert await answering == "".join(WORDS)
    assert len(second.tickets) == 1


@pytest.mark.parametrize(("taint", "tolerations"), [("spot:no_schedule", ()), ("spot:no_execute", ("spot",))])
async def test_what_is_tolerated_or_only_kept_away_runs_to_its_end_where_it_is(
    site: Site, taint: str, tolerations: tuple[str, ...]
) -> None:
    first = await site.add_node(script=_tells_a_little)
    if tolerations:
        await set_profile(site, tolerations=tolerations)
    answering = asyncio.create_task(_text(site))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node()
    await _taint(site, first, taint)
    dispatcher = (await site.gateway.start()).dispatcher
    dispatcher._turn_away()
    [request] = dispatcher._known.values()
    assert request.stream is not None
    assert not request.stream.ended
    assert second.tickets == []
    await first.kill()
    await answering
