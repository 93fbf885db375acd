"""Responses that are kept: made, gone on from, read, deleted; by the official client."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import openai
import pytest
from channels.db import database_sync_to_async
from django.db import connection

from ollamamax.processes.sealed import Resealed, reseal
from ollamamax.responses.actions.sweep import sweep_responses
from ollamamax.responses.models import Conversation, ConversationItem, KeptResponse
from ollamamax.secret_box import SecretBox, derived_key
from tests.batches.conftest import MOST_TENANT_BYTES, House, rows
from tests.gateway.scripts import breaks_late
from tests.patience import LONG
from tests.responses.conftest import store_responses

ASK: dict[str, Any] = {"model": "echo", "input": "one two three"}


def texts(ticket: Any) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in ticket.inference.messages]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_goes_on_from_a_former_one(keeping: House, stream: bool) -> None:
    client = keeping.client()
    first: Any
    if stream:
        async with client.responses.stream(**ASK) as events:
            first = await events.get_final_response()
    else:
        first = await client.responses.create(**ASK)
    assert first.store is True
    second = await client.responses.create(model="echo", input="four", previous_response_id=first.id)
    third = await client.responses.create(
        model="echo", input=[{"role": "user", "content": "five"}], previous_response_id=second.id, store=False
    )
    assert (second.output_text, second.previous_response_id) == ("four", first.id)
    assert texts(keeping.nodes[0].tickets[-1]) == [
        ("user", "one two three"),
        ("assistant", "one two three"),
        ("user", "four"),
        ("assistant", "four"),
        ("user", "five"),
    ]
    assert (await client.responses.retrieve(second.id)).to_dict() == second.to_dict()
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(third.id)


async def test_input_items_are_listed_in_pages_and_each_has_an_id(keeping: House) -> None:
    client = keeping.client()
    words: Any = [{"role": "user", "content": f"word {number}"} for number in range(5)]
    made = await client.responses.create(model="echo", input=words)
    found: list[Any] = [item async for item in await client.responses.input_items.list(made.id, order="asc", limit=2)]
    assert [item.content[0].text for item in found] == [f"word {number}" for number in range(5)]
    assert len({item.id for item in found}) == 5
    backwards = [item async for item in await client.responses.input_items.list(made.id, limit=2)]
    assert [item.id for item in backwards] == [item.id for item in found][::-1]


async def test_nothing_is_kept_unless_the_tenant_wants_it_and_that_is_said(house: House) -> None:
    await house.add_node()
    client = house.client()
    raw = await client.responses.with_raw_response.create(**ASK, store=True)
    assert raw.headers["x-ollamamax-ignored"] == "store"
    made = raw.parse()
    assert made.store is False
    with pytest.raises(openai.NotFoundError, match="store_responses") as refused:
        await client.responses.create(**ASK, previous_response_id=made.id)
    assert refused.value.param == "previous_response_id"
    for more in ({"background": True}, {"conversation": "conv_" + "0" * 32}):
        with pytest.raises(openai.BadRequestError, match="store_responses"):
            await client.responses.create(**ASK, **more)
    assert await rows(KeptResponse.objects.count) == 0


async def test_a_request_may_ask_not_to_be_kept(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK, store=False)
    assert made.store is False
    assert await rows(KeptResponse.objects.count) == 0


async def test_what_was_deleted_is_gone_for_those_that_went_on_from_it(keeping: House) -> None:
    client = keeping.client()
    first = await client.responses.create(**ASK)
    second = await client.responses.create(**ASK, previous_response_id=first.id)
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match=first.id):
        await client.responses.create(**ASK, previous_response_id=second.id)
    assert (await client.responses.retrieve(second.id)).output_text == "one two three"


async def test_another_tenants_responses_and_conversations_are_not_there(keeping: House) -> None:
    client, stranger = keeping.client(), keeping.client(keeping.stranger_key)
    made = await client.responses.create(**ASK)
    conversation = await client.conversations.create(items=[{"role": "user", "content": "hi"}])
    item = (await client.conversations.items.list(conversation.id)).data[0]
    calls: list[Any] = [
        lambda: stranger.responses.retrieve(made.id),
        lambda: stranger.responses.delete(made.id),
        lambda: stranger.responses.cancel(made.id),
        lambda: stranger.responses.input_items.list(made.id),
        lambda: stranger.responses.create(**ASK, previous_response_id=made.id),
        lambda: stranger.conversations.retrieve(conversation.id),
        lambda: stranger.conversations.update(conversation.id, metadata={}),
        lambda: stranger.conversations.delete(conversation.id),
        lambda: stranger.conversations.items.list(conversation.id),
        lambda: stranger.conversations.items.create(conversation.id, items=[]),
        lambda: stranger.conversations.items.retrieve(item.id or "", conversation_id=conversation.id),
        lambda: stranger.conversations.items.delete(item.id or "", conversation_id=conversation.id),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            await call()
    assert len((await client.conversations.items.list(conversation.id)).data) == 1


async def test_nothing_readable_lies_in_the_database(keeping: House) -> None:
    await keeping.client().responses.create(model="echo", input="a very private sentence")
    await keeping.client().conversations.create(items=[{"role": "user", "content": "a very private sentence"}])

    def dump() -> bytes:
        with connection.cursor() as cursor:
            cursor.execute("SELECT r.*::text FROM responses_keptresponse r")
            found = str(cursor.fetchall())
            cursor.execute("SELECT i.*::text FROM responses_conversationitem i")
            return (found + str(cursor.fetchall())).encode()

    stored = await database_sync_to_async(dump, thread_sensitive=False)()
    assert len(stored) > 200
    for form in (b"private", b"private".hex().encode()):
        assert form not in stored


async def test_a_response_that_failed_says_why(keeping: House) -> None:
    keeping.nodes[0]._script = breaks_late
    with pytest.raises(openai.APIError):
        await keeping.client().responses.create(**ASK)

    def ended() -> list[KeptResponse]:
        return list(KeptResponse.objects.filter(status="failed"))

    async with asyncio.timeout(LONG):
        while not (found := await rows(ended)):
            await asyncio.sleep(0.02)
    kept = found[0]
    shown = await keeping.client().responses.retrieve(str(kept))
    assert shown.status == "failed"
    assert shown.error is not None
    assert shown.error.message
    with pytest.raises(openai.BadRequestError, match="failed"):
        await keeping.client().responses.create(**ASK, previous_response_id=shown.id)


async def test_a_conversation_grows_by_each_response(keeping: House) -> None:
    client = keeping.client()
    conversation = await client.conversations.create(
        items=[{"role": "user", "content": "hello"}], metadata={"topic": "a"}
    )
    assert conversation.metadata == {"topic": "a"}
    made = await client.responses.create(model="echo", input="one", conversation=conversation.id)
    assert made.conversation is not None
    assert made.conversation.id == conversation.id
    await client.responses.create(model="echo", input="two", conversation={"id": conversation.id})
    assert texts(keeping.nodes[0].tickets[-1]) == [
        ("user", "hello"),
        ("user", "one"),
        ("assistant", "one"),
        ("user", "two"),
    ]
    items: list[Any] = [
        item async for item in await client.conversations.items.list(conversation.id, order="asc", limit=2)
    ]
    assert [item.content[0].text for item in items] == ["hello", "one", "one", "two", "two"]
    one = await client.conversations.items.retrieve(items[1].id or "", conversation_id=conversation.id)
    assert one == items[1]
    await client.conversations.items.delete(items[1].id or "", conversation_id=conversation.id)
    added = await client.conversations.items.create(
        conversation.id, items=[{"type": "message", "role": "user", "content": "three"}]
    )
    assert len(added.data) == 1
    assert len((await client.conversations.items.list(conversation.id)).data) == 5
    changed = await client.conversations.update(conversation.id, metadata={"topic": "b"})
    assert changed.metadata == {"topic": "b"}
    assert (await client.conversations.retrieve(conversation.id)).metadata == {"topic": "b"}
    assert (await client.conversations.delete(conversation.id)).deleted
    assert await rows(lambda: (Conversation.objects.count(), ConversationItem.objects.count())) == (0, 0)


async def test_two_ways_to_go_on_exclude_each_other(keeping: House) -> None:
    conversation = await keeping.client().conversations.create()
    with pytest.raises(openai.BadRequestError, match="together"):
        await keeping.client().responses.create(
            **ASK, conversation=conversation.id, previous_response_id="resp_" + "0" * 32
        )


async def test_input_tokens_are_counted_with_what_came_before(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK)
    counted = await keeping.client().responses.input_tokens.count(**ASK, previous_response_id=made.id)
    assert counted.object == "response.input_tokens"
    ticket = keeping.nodes[0].tickets[-1]
    assert ticket.inference.kind == "count"
    assert len(ticket.inference.messages) == 3


async def test_without_the_database_what_is_not_kept_goes_on(keeping: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Any) -> None:
        from django.db import OperationalError

        raise OperationalError("away")

    from django.db.backends.postgresql.base import DatabaseWrapper

    monkeypatch.setattr(DatabaseWrapper, "get_new_connection", lambda self, params: away(self))
    monkeypatch.setattr(DatabaseWrapper, "ensure_connection", away)
    assert (await keeping.client().responses.create(**ASK, store=False)).output_text == "one two three"
    with pytest.raises(openai.InternalServerError) as refused:
        await keeping.client().responses.create(**ASK)
    assert refused.value.status_code == 503
    monkeypatch.undo()


async def test_a_tenant_that_changes_its_mind_keeps_what_there_is(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK)
    await store_responses(keeping, wanted=False)
    assert (await keeping.client().responses.retrieve(made.id)).id == made.id
    went_on = await keeping.client().responses.create(**ASK, previous_response_id=made.id)
    assert went_on.previous_response_id == made.id


async def test_a_new_key_takes_over_all_that_is_kept(keeping: House, settings: Any) -> None:
    client = keeping.client()
    made = await client.responses.create(**ASK)
    await client.conversations.create(items=[{"role": "user", "content": "hello"}])
    settings.SECRET_BOX = SecretBox([derived_key("new"), derived_key(settings.SECRET_KEY)])
    done = await rows(reseal)
    # Those two, and the keys under which the audit trail names people.
    assert (done.sealed > 2, done.lost) == (True, 0)
    assert await rows(reseal) == Resealed()
    settings.SECRET_BOX = SecretBox([derived_key("new")])
    assert (await client.responses.retrieve(made.id)).output_text == "one two three"


async def test_what_was_kept_long_enough_is_swept(keeping: House) -> None:
    client = keeping.client()
    made = await client.responses.create(**ASK)
    await client.conversations.create(items=[{"role": "user", "content": "hello"}])
    assert await rows(sweep_responses) == 0

    def age() -> None:
        KeptResponse.objects.update(expires_at="2020-01-01T00:00:00Z")
        Conversation.objects.update(expires_at="2020-01-01T00:00:00Z")

    await rows(age)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    assert await rows(sweep_responses) == 2
    assert await rows(lambda: (KeptResponse.objects.count(), ConversationItem.objects.count())) == (0, 0)


async def test_one_whose_gateway_was_killed_has_failed(keeping: House) -> None:
    made = await keeping.client().responses.create(**ASK)
    past = "2020-01-01T00:00:00Z"
    await rows(lambda: KeptResponse.objects.update(status="in_progress", lease_until=past))
    assert (await keeping.client().responses.retrieve(made.id)).status == "failed"
    await rows(sweep_responses)
    assert await rows(lambda: KeptResponse.objects.get().status) == "failed"
    assert (await keeping.client().responses.retrieve(made.id)).status == "failed"


async def test_an_item_of_a_kept_answer_is_named_in_place_of_itself(keeping: House) -> None:
    client = keeping.client()
    made: Any = await client.responses.create(**ASK)
    name = made.output[0].id
    given: Any = [{"type": "item_reference", "id": name}, {"role": "user", "content": "four"}]
    await client.responses.create(model="echo", input=given)
    assert texts(keeping.nodes[0].tickets[-1]) == [("assistant", "one two three"), ("user", "four")]
    for asker, wrong in ((keeping.client(keeping.stranger_key), name), (client, "fc_" + "0" * 32), (client, "x")):
        with pytest.raises(openai.NotFoundError, match=wrong):
            await asker.responses.create(model="echo", input=[{"type": "item_reference", "id": wrong}, *given[1:]])


@pytest.mark.parametrize("what", ["conversations", "items", "responses"])
async def test_what_a_tenant_keeps_at_once_has_a_bound_whatever_it_is(keeping: House, what: str) -> None:
    client, text = keeping.client(), "x" * 40_000
    item: Any = {"role": "user", "content": text}
    conversation = await client.conversations.create()

    async def keep() -> None:
        if what == "conversations":
            await client.conversations.create(items=[item])
        elif what == "items":
            await client.conversations.items.create(conversation.id, items=[item])
        else:
            await client.responses.create(model="echo", input=text, background=True)

    kept = 0
    with contextlib.suppress(openai.APIStatusError):
        while kept <= MOST_TENANT_BYTES // len(text):
            await keep()
            kept += 1
    assert 5 < kept <= MOST_TENANT_BYTES // len(text)
    with pytest.raises(openai.APIStatusError, match="allowed; delete some"):
        await client.responses.create(**ASK)
    assert (await client.responses.create(**ASK, store=False)).output_text
