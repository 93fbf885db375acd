"""Responses in the background: queued, made, cancelled, taken over."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from channels.db import database_sync_to_async

from ollamamax.identity.actions.key import revoke_key
from ollamamax.responses.actions.lease import MOST_ATTEMPTS, claim_response
from ollamamax.responses.models import KeptResponse
from ollamamax.responses.runner.background import BackgroundResponses
from ollamamax.secret_box import SecretBox, derived_key
from tests.batches.conftest import House, rows
from tests.patience import LONG
from tests.responses.conftest import making

ASK: dict[str, Any] = {"model": "echo", "input": "one two three", "background": True}


async def ended(house: House, name: str) -> Any:
    async with asyncio.timeout(LONG):
        while (found := await house.client().responses.retrieve(name)).status in {"queued", "in_progress"}:
            await asyncio.sleep(0.05)
    return found


async def test_it_is_queued_and_made_and_can_be_gone_on_from(keeping: House, background: BackgroundResponses) -> None:
    made = await keeping.client().responses.create(**ASK)
    assert (made.status, made.output, made.background) == ("queued", [], True)
    found = await ended(keeping, made.id)
    assert (found.status, found.output_text, found.id, found.background) == (
        "completed",
        "one two three",
        made.id,
        True,
    )
    assert found.usage.output_tokens == 3
    second = await keeping.client().responses.create(**ASK | {"input": "four", "previous_response_id": made.id})
    assert (await ended(keeping, second.id)).output_text == "four"
    assert len(keeping.nodes[0].tickets[-1].inference.messages) == 3


async def test_what_is_wrong_is_said_before_it_is_queued(keeping: House) -> None:
    with pytest.raises(openai.NotFoundError):
        await keeping.client().responses.create(**ASK | {"model": "no-such-model"})
    with pytest.raises(openai.BadRequestError):
        await keeping.client().responses.create(**ASK, temperature=9)
    with pytest.raises(openai.BadRequestError, match="stream"):
        await keeping.client().responses.create(**ASK, stream=True)
    assert await rows(KeptResponse.objects.count) == 0


async def test_cancelled_it_stays_so_and_its_node_stops(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK)
    assert (await keeping.client().responses.cancel(made.id)).status == "cancelled"
    assert (await keeping.client().responses.cancel(made.id)).status == "cancelled"
    assert await database_sync_to_async(claim_response, thread_sensitive=False)("runner") is None
    assert (await keeping.client().responses.retrieve(made.id)).status == "cancelled"
    other = await keeping.client().responses.create(model="echo", input="one")
    with pytest.raises(openai.ConflictError):
        await keeping.client().responses.cancel(other.id)


async def test_one_whose_runner_died_is_taken_over_and_not_for_ever(
    keeping: House, background: BackgroundResponses
) -> None:
    made = await keeping.client().responses.create(**ASK)
    assert (await ended(keeping, made.id)).status == "completed"

    def as_left_by_the_dead() -> None:
        KeptResponse.objects.update(status="in_progress", runner="dead", lease_until="2020-01-01T00:00:00Z", attempts=9)

    await rows(as_left_by_the_dead)
    found = await ended(keeping, made.id)
    assert found.status == "failed"
    assert str(MOST_ATTEMPTS) in found.error.message


async def test_a_revoked_key_makes_nothing_any_more(keeping: House, background: BackgroundResponses) -> None:
    keeping.nodes[0].models = []
    await keeping.nodes[0].say()
    made = await keeping.client().responses.create(**ASK)
    revoke = database_sync_to_async(revoke_key, thread_sensitive=False)
    await revoke(acting=keeping.owner.acting, key_id=keeping.key.row.id)

    def status() -> str:
        return KeptResponse.objects.get().status

    async with asyncio.timeout(LONG):
        while await rows(status) != "failed":
            await asyncio.sleep(0.05)
    assert made.id == str(await rows(KeptResponse.objects.get))


async def test_one_whose_key_of_the_box_is_gone_fails_and_the_others_go_on(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK)
    sealed = SecretBox([derived_key("gone")]).seal(b"{}", "elsewhere")
    await rows(lambda: KeptResponse.objects.update(object=sealed, request=sealed))
    other = await keeping.client().responses.create(**ASK)
    async with making(keeping):
        assert (await ended(keeping, other.id)).status == "completed"
        async with asyncio.timeout(LONG):
            while await rows(lambda: KeptResponse.objects.filter(status="failed").count()) != 1:
                await asyncio.sleep(0.05)
    assert (await keeping.client().responses.retrieve(made.id)).status == "failed"
