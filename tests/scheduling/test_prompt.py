"""Prompts that begin alike have the hashes of their common beginning in common."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.prompt import estimate_tokens, prefixes, shared_part
from ollamamax.contract import Inference

texts = st.text(max_size=50) | st.integers(1, 4000).map(lambda n: "a long text " * n)
messages = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "assistant"]), texts),
    max_size=8,
)


def chat(*said: dict[str, Any], **changes: Any) -> Inference:
    return Inference("chat", messages=list(said), **changes)


def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return len(set(one) & set(other))


SYSTEM = {"role": "system", "content": "You know the whole of our handbook. " * 100}


@given(messages, messages)
def test_a_longer_conversation_keeps_the_hashes_of_the_shorter_but_its_last(
    begun: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    shorter, longer = prefixes(chat(*begun)), prefixes(chat(*begun, *more))
    assert longer[: max(0, len(shorter) - 1)] == shorter[:-1]


@given(messages)
def test_hashes_grow_in_length_and_the_last_is_of_everything(said: list[dict[str, Any]]) -> None:
    found = prefixes(chat(*said))
    shares = [shared_part(each, found[-1]) for each in found]
    assert shares == sorted(set(shares)) or len(found) < 2
    assert not found or shares[-1] == 1.0


@given(messages, messages)
def test_conversations_that_differ_from_the_start_share_nothing(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    mine = prefixes(chat({"role": "system", "content": "A"}, *one))
    assert common(mine, prefixes(chat({"role": "system", "content": "B"}, *other))) == 0


def test_a_shared_system_prompt_is_found_by_its_hashes() -> None:
    one = prefixes(chat(SYSTEM, {"role": "user", "content": "Hello."}))
    other = prefixes(chat(SYSTEM, {"role": "user", "content": "How many days off have I got?"}))
    alike = [each for each in one if each in other]
    assert 0.9 < shared_part(alike[-1], one[-1]) < 1.0
    assert one[0] == other[0], "the first is the same: it says where the prompt is at home"


def test_tools_belong_to_the_prompt() -> None:
    said = {"role": "user", "content": "What is the weather?"}
    assert common(prefixes(chat(said)), prefixes(chat(said, tools=[{"type": "function"}]))) == 0


def test_images_and_tool_calls_belong_to_the_prompt() -> None:
    def seen(url: str) -> tuple[int, ...]:
        return prefixes(chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}))

    assert seen("data:1") != seen("data:2")
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert prefixes(chat(called)) != prefixes(chat({**called, "tool_calls": [{"id": "2"}]}))


def test_a_message_cannot_pretend_to_be_two() -> None:
    two = chat({"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    assert prefixes(two) != prefixes(chat({"role": "user", "content": 'a\0{"role":"user"}\0b'}))


def test_a_megabyte_has_few_hashes() -> None:
    assert 20 < len(prefixes(Inference("completion", prompt="x" * 1_000_000))) < 50
    many = [{"role": "user", "content": "x" * 100}] * 10_000
    assert len(prefixes(chat(*many))) < 130


def test_nothing_has_none() -> None:
    assert prefixes(Inference("chat")) == ()
    assert shared_part(0, 0) == 0.0


def test_tokens_are_estimated_from_texts_tools_and_images() -> None:
    assert estimate_tokens(chat({"role": "user", "content": "x" * 400})) == 100
    assert estimate_tokens(Inference("embed", inputs=["x" * 40, "x" * 40])) == 20
    image = {"type": "image_url", "image_url": {"url": "data:" + "x" * 100_000}}
    assert 100 < estimate_tokens(chat({"role": "user", "content": [{"type": "text", "text": "x" * 40}, image]})) < 5000
    assert estimate_tokens(chat(tools=[{"type": "function", "function": {"name": "x" * 400}}])) > 100


def test_prompts_of_tokens_share_what_their_beginnings_share() -> None:
    ids = list(range(5000))
    one, other = Inference("completion", prompt_ids=ids), Inference("completion", prompt_ids=[*ids[:4000], 7])
    assert estimate_tokens(one) == 5000
    assert common(prefixes(one), prefixes(other)) > 3
    assert prefixes(one)[-1] != prefixes(other)[-1]
