"""What a tenant's share is charged for a request is in the end what it took, however often it was tried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.scheduling.fairness import work
from ollamamax.bus import keys
from ollamamax.contract import Delta, Event, Failure, Final, Ticket
from tests.gateway.conftest import Site
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "word " * 200}], "stream": False}
TOKENS = 5


@pytest.mark.parametrize("broken", [0, 1, 2])
async def test_a_request_that_was_tried_several_times_is_charged_what_it_took(site: Site, broken: int) -> None:
    """Each attempt is charged what it is expected to cost, and each of these charges is corrected when the request ends."""
    tickets: list[Ticket] = []

    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        tickets.append(ticket)
        if len(tickets) <= broken:
            yield Failure("engine_failed", "broken", 502)
            return
        for _ in range(TOKENS):
            yield Delta(text="x", tokens=1)
        yield Final("stop", prompt_tokens=200, completion_tokens=TOKENS)

    for _ in range(broken + 1):
        await site.add_node(script=script)
    async with site.post("/api/chat", ASK) as response:
        assert response.status == 200, await response.text()
    await until(lambda: len(site.usage()) == 1)
    [record] = site.usage()
    assert record.get("attempts", 1) == len(tickets) == broken + 1
    [charged] = site.client.hmget(keys.WORK, site.tenant)
    assert float(charged) == pytest.approx(work(record["prompt_tokens"], record["completion_tokens"]))
