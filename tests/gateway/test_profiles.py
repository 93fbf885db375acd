"""Load options against a model's profile, at the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.scheduling.load import avoided
from ollamamax.bus import keys
from ollamamax.contract import Load, ModelState
from ollamamax.contract.profile import Profile
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import HEADER, SAY, add_model, add_node, version
from tests.patience import until


def ask(num_ctx: int | None, **more: Any) -> dict[str, Any]:
    options = {"num_ctx": num_ctx} if num_ctx is not None else {}
    return {"model": "first", "messages": SAY, "stream": False, "options": options, **more}


async def test_the_ticket_says_what_the_profile_fixes(site: Site) -> None:
    await add_model(site, "first", num_ctx=2048, num_gpu=12)
    node = await add_node(site, "first")
    async with site.post("/api/chat", ask(1024)) as response:
        assert response.status == 200
    async with site.post("/v1/chat/completions", {"model": "first", "messages": SAY}) as response:
        assert response.status == 200
    assert [ticket.load for ticket in node.tickets] == [Load(2048, 12)] * 2


async def test_more_than_the_profile_gives_is_refused_with_a_reason(site: Site) -> None:
    await add_model(site, "first", num_ctx=2048)
    node = await add_node(site, "first")
    for path, body in (
        ("/api/chat", ask(4096)),
        ("/api/generate", ask(4096, prompt="x")),
        ("/api/generate", ask(4096)),
        ("/api/embed", ask(4096, input="x")),
    ):
        async with site.post(path, body) as response:
            assert response.status == 400
            text = (await response.json())["error"]
        assert "'num_ctx' is 4096" in text
        assert "profile gives 2048" in text
        assert "PATCH /api/v1/models/{id}" in text
    assert node.tickets == []


async def test_more_may_be_routed_to_an_instance_that_has_it(site: Site) -> None:
    await add_model(site, "first", num_ctx=2048, outside="route")
    small = await add_node(site, "first")
    async with site.post("/api/chat", ask(6000)) as response:
        assert response.status == 503
        assert "loaded with num_ctx 6000" in (await response.json())["error"]
    large = await add_node(site, "first")
    large.models = [ModelState(version("first"), "first", "loaded", "ollama", context_length=8192)]
    await large.say()
    service = await site.gateway.start()
    await until(
        lambda: any(state.models[0].context_length == 8192 for state in service.dispatcher.fleet.states(site.tenant))
    )
    for _ in range(3):
        async with site.post("/api/chat", ask(6000)) as response:
            assert response.status == 200
    assert (len(small.tickets), len(large.tickets)) == (0, 3)
    assert {(ticket.load, ticket.inference.options.num_ctx) for ticket in large.tickets} == {(Load(2048), 6000)}


async def test_a_model_with_more_context_may_stand_in(site: Site) -> None:
    await add_model(site, "first", ("second", "context_too_long"), num_ctx=2048)
    await add_model(site, "second", num_ctx=8192)
    await add_node(site, "second")
    async with site.post("/api/chat", ask(4096)) as response:
        assert response.headers[HEADER] == "first;context_too_long"
        assert (await response.json())["model"] == "second:latest"


async def test_clients_that_alternate_are_counted_as_reloads_avoided(site: Site) -> None:
    await add_model(site, "first", num_ctx=4096)
    node = await add_node(site, "first")
    node.loaded_context = 4096
    answers = []
    for num_ctx in (2048, 1024, 4096, None) * 3:
        async with site.post("/api/chat", ask(num_ctx)) as response:
            answers.append(response.status)
    assert answers == [200] * 12
    # 4096 is what is loaded, and who asks for nothing is given it.
    field = f"{site.tenant}/first:latest"
    await until(lambda: site.client.hget(keys.RELOADS_AVOIDED, field) == b"6")


async def test_the_last_ones_are_counted_when_the_gateway_stops(site: Site) -> None:
    await add_model(site, "first", num_ctx=4096)
    await add_node(site, "first")
    async with site.post("/api/chat", ask(1024)) as response:
        assert response.status == 200
    await until(lambda: len(site.usage()) == 1)
    await site.gateway.stop()
    assert site.client.hget(keys.RELOADS_AVOIDED, f"{site.tenant}/first:latest") == b"1"


@pytest.mark.parametrize(
    ("fixed", "asked", "loaded", "context", "expected"),
    [
        (4096, 2048, True, 4096, True),
        (4096, 4096, True, 4096, False),
        (4096, None, True, 4096, False),
        (4096, 2048, False, None, False),  # it had to be loaded anyhow
        (4096, 2048, True, None, True),  # the engine does not tell
        (None, 2048, True, 4096, True),  # no profile, and the instance is large enough
        (None, 8192, True, 4096, False),  # this one does load again
        (None, 2048, True, None, False),  # nobody knows
    ],
)
def test_what_counts_as_avoided(
    fixed: int | None, asked: int | None, loaded: bool, context: int | None, expected: bool
) -> None:
    assert avoided(Profile(num_ctx=fixed), asked, loaded=loaded, context=context) is expected
