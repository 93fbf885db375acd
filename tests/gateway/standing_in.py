"""A model without a free slot, those that stand in for it, and who asks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cluster.dispatch.admission import Given, Waits
from ollamamax.bus import keys
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import HEADER, add_model, add_node, said
from tests.gateway.waiting import Gate, begun
from tests.patience import until

PATHS = {
    "/api/chat": {},
    "/v1/chat/completions": {},
    "/v1/messages": {"max_tokens": 9},
}
SOON = 0.2
NEVER = 60.0


class Answer:
    """What a client has of its request; ``took`` is in seconds."""

    def __init__(self, status: int, headers: Any, text: str, took: float) -> None:
        self.status = status
        self.hops = headers.get(HEADER)
        self.request = headers["x-request-id"]
        self.text = said(text) if status == 200 else text
        self.took = took


def ask(
    site: Site, content: str, path: str = "/api/chat", *, key: str | None = None, headers: Any = None, **more: Any
) -> asyncio.Task[Answer]:
    body = {
        "model": "first",
        "messages": [{"role": "user", "content": content}],
        "stream": False,
        **PATHS.get(path, {}),
        **more,
    }
    sent = {"Authorization": f"Bearer {key or site.key}", **(headers or {})}

    async def post() -> Answer:
        start = time.monotonic()
        async with site.http.post(site.url + path, json=body, headers=sent) as response:
            text = await response.text()
            return Answer(response.status, response.headers, text, time.monotonic() - start)

    return begun(post())


async def full(site: Site, name: str) -> tuple[Gate, FakeNode]:
    """A node with one slot for that model, which is taken."""
    gate = Gate()
    node: FakeNode = await add_node(site, name, gate, capacity=1)
    ask(site, f"holds {name}", model=name)
    await until(lambda: len(gate.said) == 1)
    return gate, node


async def busy(site: Site, *fallbacks: tuple[str, str | float] | str) -> tuple[Gate, FakeNode]:
    """The first model has no free slot."""
    await add_model(site, "first", *fallbacks)
    return await full(site, "first")


async def nothing_left(site: Site) -> None:
    """No slot, place, open record or count of whatever waited and ran."""
    left = (keys.node_slots("*"), "omx:node:*:inbox", "omx:queue:entry:*", "omx:queue:node:*", "omx:queue:tenant:*")
    await until(lambda: not any(site.client.keys(each) for each in (*left, "omx:active:*")))
    assert site.client.hlen(keys.OPEN) == 0
    assert site.client.zcard(keys.WAITING) == 0
    dispatcher = (await site.gateway.start()).dispatcher
    assert len(dispatcher._queue) == 0
    assert not dispatcher._queue._expected
    assert not dispatcher._streams._streams
    assert not dispatcher._queue._of_version


def records(site: Site) -> dict[str, dict[str, Any]]:
    return {record["request"]: record for record in site.usage()}


async def limited(site: Site, **limits: int) -> tuple[str, str]:
    """A key, and its id."""
    key = await site.issue_key(site.tenant, id=(owner := new_id()), limits=limits)
    return key, owner


async def refusals(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that had no slot for a request that waits for another."""
    admission = (await site.gateway.start()).dispatcher._admission
    admit, refused = admission.admit, []

    async def told(request: Any, nodes: Any, *, taken: bool = False) -> Given | Waits:
        try:
            return await admit(request, nodes, taken=taken)
        except errors.Overloaded:
            refused.append(request.asked.model)
            raise

    monkeypatch.setattr(admission, "admit", told)
    return refused
