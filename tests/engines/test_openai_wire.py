"""Bodies and chunks of OpenAI's API, without a server."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engines.openai import read_metrics, version_of
from cluster.engines.openai_chunks import OpenAIChunks
from cluster.engines.openai_wire import LLAMACPP, PLAIN, SGLANG, VLLM, Dialect, body, dialect_of
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, Unsupported


def inference(**given: Any) -> contract.Inference:
    return contract.Inference("chat", **{"messages": [{"role": "user", "content": "Hi"}], **given})


def test_every_option_is_passed_on_under_the_servers_own_name() -> None:
    options = contract.Options(
        max_tokens=5,
        temperature=0.0,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        seed=0,
        stop=["x"],
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repeat_penalty=1.1,
    )
    for dialect, penalty in ((LLAMACPP, "repeat_penalty"), (VLLM, "repetition_penalty")):
        made = body("e", inference(options=options), "m", dialect)
        assert made[penalty] == 1.1
        assert made["temperature"] == 0.0
        assert made["seed"] == 0
        assert {made["max_tokens"], made["top_k"]} == {5, 40}
        assert (made["top_p"], made["min_p"], made["stop"]) == (0.9, 0.1, ["x"])
        assert (made["presence_penalty"], made["frequency_penalty"]) == (0.1, 0.2)


@pytest.mark.parametrize("name", ["top_k", "min_p", "repeat_penalty"])
def test_an_option_that_a_plain_server_has_not_is_refused(name: str) -> None:
    with pytest.raises(Unsupported) as error:
        body("openai", inference(options=msgspec.convert({name: 2}, contract.Options)), "m", PLAIN)
    assert error.value.fields["param"] == name


def test_options_that_ask_for_nothing_are_left_out_where_a_server_has_none_of_them() -> None:
    off = contract.Options(
        top_k=0,
        min_p=0.0,
        typical_p=1.0,
        repeat_penalty=1.0,
        repeat_last_n=64,
        mirostat=0,
        mirostat_tau=5.0,
        min_tokens=0,
        ignore_eos=False,
    )
    plain = body("openai", inference(options=contract.Options()), "m", PLAIN)
    assert body("openai", inference(options=off), "m", PLAIN) == plain
    with pytest.raises(Unsupported):
        body("openai", inference(options=contract.Options(repeat_last_n=64, repeat_penalty=1.2)), "m", PLAIN)


GIVEN: dict[str, Any] = {"stop": ["x"], "logit_bias": {"7": -1.5}, "stop_token_ids": [3], "ignore_eos": True}
OPTIONS = [name for name in contract.Options.__struct_fields__ if name != "num_ctx"]  # the server's own affair


@pytest.mark.parametrize("dialect", [LLAMACPP, VLLM, SGLANG, PLAIN], ids=lambda each: each.name)
@pytest.mark.parametrize("name", OPTIONS)
def test_no_option_is_dropped_in_silence(name: str, dialect: Dialect) -> None:
    given = GIVEN.get(name, 1)
    options = msgspec.convert({name: given}, contract.Options)
    try:
        made = body("e", inference(options=options), "m", dialect)
    except Unsupported as error:
        refused = error.fields["param"]
    else:
        assert given in made.values()
        return
    assert refused == name


def test_tokens_go_in_place_of_text() -> None:
    asked = contract.Inference("completion", prompt_ids=[5, 6])
    assert body("e", asked, "m", PLAIN)["prompt"] == [5, 6]


def test_switches_for_the_template_go_where_there_is_one_to_switch() -> None:
    asked = inference(think=False, template_kwargs={"documents": ["x"]})
    assert body("e", asked, "m", VLLM)["chat_template_kwargs"] == {
        "enable_thinking": False,
        "thinking": False,
        "documents": ["x"],
    }
    with pytest.raises(Unsupported):
        body("e", asked, "m", PLAIN)


def test_formats() -> None:
    assert body("e", inference(format="json"), "m", PLAIN)["response_format"] == {"type": "json_object"}
    schema = {"type": "object"}
    made = body("e", inference(format=schema), "m", PLAIN)["response_format"]
    assert made["json_schema"]["schema"] == schema


def test_thinking() -> None:
    off = {"enable_thinking": False, "thinking": False}
    for dialect in (LLAMACPP, VLLM, SGLANG):
        assert body("e", inference(think=False), "m", dialect)["chat_template_kwargs"] == off
    assert body("e", inference(think=False), "m", PLAIN)["reasoning_effort"] == "none"
    assert body("e", inference(think="high"), "m", PLAIN)["reasoning_effort"] == "high"
    with pytest.raises(Unsupported):
        body("e", inference(think=True), "m", PLAIN)


def test_completions_take_neither_tools_nor_thoughts() -> None:
    changes: list[dict[str, Any]] = [{"tools": [{}]}, {"think": True}, {"suffix": "x"}]
    for change in changes:
        with pytest.raises(Unsupported):
            body("e", contract.Inference("completion", prompt="p", **change), "m", LLAMACPP)
    assert body("e", contract.Inference("completion", prompt="p", suffix="s"), "m", PLAIN)["suffix"] == "s"


def test_servers_are_known_by_their_owner() -> None:
    assert dialect_of("llamacpp") is LLAMACPP
    assert dialect_of("vllm") is VLLM
    assert dialect_of("somebody") is PLAIN


def chunk(**fields: Any) -> bytes:
    return msgspec.json.encode({"id": "c", "object": "chat.completion.chunk", **fields})


def choice(**delta: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": None}]


def test_tool_calls_are_put_together() -> None:
    chunks = OpenAIChunks()
    for part in (
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x":'}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": "1}"}},
    ):
        chunks.delta(chunk(choices=choice(tool_calls=[part])))
    chunks.delta(chunk(choices=[{"delta": {}, "finish_reason": "tool_calls"}]))
    assert [call["function"] for call in chunks.calls.whole()] == [
        {"name": "f", "arguments": '{"x":1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert chunks.final(load_ms=0, total_ms=1).finish_reason == "tool_calls"


def test_thoughts_and_the_servers_own_counts() -> None:
    chunks = OpenAIChunks()
    assert chunks.delta(chunk(choices=choice(reasoning_content="hm"))) == contract.Delta("", "hm", 1)
    assert chunks.delta(
        chunk(choices=choice(content="a"), timings={"predicted_n": 4, "prompt_n": 3, "cache_n": 2})
    ) == contract.Delta("a", "", 3)
    assert chunks.prompt_tokens() == 5
    chunks.delta(chunk(choices=[{"delta": {}, "finish_reason": "stop"}]))
    chunks.delta(chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": None}))
    final = chunks.final(load_ms=1, total_ms=2)
    assert (final.prompt_tokens, final.completion_tokens, final.finish_reason) == (5, 5, "stop")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}}}, 3),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 0}}}, 0),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}}, 5),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": -3}}}, None),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": "3"}}}, None),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": None}}, None),
        ({"usage": {"prompt_tokens": 5}}, None),
        ({"timings": {"prompt_n": 3, "cache_n": 2}}, 2),
        ({"timings": {"prompt_n": 3, "cache_n": 0}}, 0),
        ({"timings": {"prompt_n": 3, "cache_n": -2}}, 0),
        ({"timings": {"prompt_n": 3}}, None),
    ],
)
def test_what_an_engine_had_kept_of_a_prompt_is_what_it_says_or_unknown(
    said: dict[str, Any], expected: int | None
) -> None:
    chunks = OpenAIChunks()
    chunks.delta(chunk(choices=[{"delta": {"content": "a"}, "finish_reason": "stop"}], **said))
    assert chunks.final(load_ms=0, total_ms=1).cached == expected


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    chunks = OpenAIChunks()
    chunks.delta(chunk(choices=choice(content="a")))
    with pytest.raises(EngineFailed, match="without finishing"):
        chunks.final(load_ms=0, total_ms=0)
    with pytest.raises(EngineFailed, match="too hot"):
        chunks.delta(chunk(error={"message": "too hot"}))


def test_counts_of_one_name_are_added_up_and_of_caches_the_fullest_counts() -> None:
    page = """# HELP vllm:num_requests_running Number of requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="a b"} 3.0
vllm:num_requests_running{model_name="c"} 2.0
vllm:kv_cache_usage_perc{model_name="a b",engine="0"} 0.25
vllm:kv_cache_usage_perc{model_name="} 7 {",engine="1"} 0.2
vllm:num_requests_running_by_somebody 9
vllm:num_requests_waiting NaN
vllm:num_requests_running +Inf
vllm:num_requests_running{model_name="
vllm:num_requests_running
broken line here
"""
    found = read_metrics(page)
    assert found == {"vllm:num_requests_running": 5.0, "vllm:kv_cache_usage_perc": 0.25}


@given(
    st.lists(st.sampled_from(["vllm:num_requests_running", "{", "}", '"', "=", " ", "1", "\\", "NaN", "\n", "e9", ","]))
)
def test_whatever_a_server_calls_metrics_is_no_error(parts: list[str]) -> None:
    assert all(math.isfinite(value) for value in read_metrics("".join(parts)).values())


def test_a_version_follows_from_the_name() -> None:
    assert version_of("a") == version_of("a") != version_of("b")
    assert len(version_of("a")) == 71


def test_the_developer_is_the_system_to_every_server() -> None:
    for dialect in (LLAMACPP, VLLM, SGLANG, PLAIN):
        made = body("e", inference(messages=[{"role": "developer", "content": "Be brief."}]), "m", dialect)
        assert made["messages"] == [{"role": "system", "content": "Be brief."}]


def test_an_answer_that_is_begun_goes_on_from_there() -> None:
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"type": "text", "text": "Hel"}]}]
    for dialect in (VLLM, SGLANG):
        made = body("e", inference(messages=begun), "m", dialect)
        assert (made["continue_final_message"], made["add_generation_prompt"]) == (True, False)
        assert made["messages"] == begun
        further = body("e", inference(messages=begun, continued="lo"), "m", dialect)
        assert further["messages"][1:] == [{"role": "assistant", "content": "Hello"}]
    called = [*begun[:1], {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}]
    assert "continue_final_message" not in body("e", inference(messages=called), "m", VLLM)
    assert "continue_final_message" not in body("e", inference(messages=begun), "m", LLAMACPP)


def test_no_alternatives_are_asked_for_in_the_server_s_own_way_and_too_many_left_out() -> None:
    asked = inference(logprobs=True, top_logprobs=0)
    assert [body("e", asked, "m", dialect)["top_logprobs"] for dialect in (LLAMACPP, VLLM)] == [1, 0]
    entry = {"token": "a", "logprob": None, "top_logprobs": [{"token": "a", "logprob": -0.5}]}
    delta = OpenAIChunks("e", asked).delta(chunk(choices=[choice(content="a")[0] | {"logprobs": {"content": [entry]}}]))
    assert delta is not None
    assert delta.logprobs == [{"token": "a", "logprob": -9999.0, "bytes": [97], "top_logprobs": []}]


def test_an_empty_stop_is_none() -> None:
    assert "stop" not in body("e", inference(options=contract.Options(stop=["", ""])), "m", VLLM)


@pytest.mark.parametrize("count", [-1, 1e300, True, None])
def test_a_count_that_cannot_be_true_is_not_told(count: Any) -> None:
    chunks = OpenAIChunks()
    chunks.delta(chunk(choices=choice(content="a")))
    usage = {"prompt_tokens": 3, "completion_tokens": count} if count is not True else {}
    chunks.delta(chunk(choices=[{"delta": {}, "finish_reason": "stop"}], usage=usage))
    final = chunks.final(load_ms=0, total_ms=0)
    assert (final.completion_tokens, final.estimated) == (1, True)


@pytest.mark.parametrize("seed", range(40))
def test_calls_are_put_together_from_parts_of_any_kind(seed: int) -> None:
    """Servers number the calls or not, repeat ids and names or not, and cut the arguments anywhere."""
    rng = random.Random(seed)
    wanted = [
        (f"call_{n}", f"f{n}", msgspec.json.encode({"n": n, "é": "x" * rng.randrange(5)}).decode()) for n in range(4)
    ]
    same_index, repeats, whole = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.3
    streams = []
    for number, (id_, name, arguments) in enumerate(wanted):
        cuts = [] if whole else sorted(rng.sample(range(len(arguments)), 2))
        pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        parts: list[dict[str, Any]] = [
            {"index": 0 if same_index else number, "function": {"arguments": p}} for p in pieces
        ]
        for at, part in enumerate(parts):
            if at == 0 or repeats:
                part["id"], part["function"]["name"] = id_, name
        streams.append(parts)
    order = [part for parts in streams for part in parts]
    if not same_index:  # then the parts of several calls may come in turn
        order = []
        while any(streams):
            order.append(rng.choice([parts for parts in streams if parts]).pop(0))
    chunks = OpenAIChunks()
    for part in order:
        chunks.delta(chunk(choices=choice(tool_calls=[part])))
    made = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in chunks.calls.whole()]
    assert sorted(made) == sorted(wanted)


def test_calls_without_ids_get_some_and_one_without_a_name_is_none() -> None:
    chunks = OpenAIChunks()
    for name in ("f", "g"):
        chunks.delta(chunk(choices=choice(tool_calls=[{"function": {"name": name, "arguments": {"a": 1}}}])))
    first, second = chunks.calls.whole()
    assert [first["function"]["name"], second["function"]["name"]] == ["f", "g"]
    assert first["function"]["arguments"] == '{"a":1}'
    assert first["id"] != second["id"] != ""
    nameless = OpenAIChunks()
    nameless.delta(chunk(choices=choice(tool_calls=[{"index": 0, "id": "a", "function": {"arguments": "{}"}}])))
    with pytest.raises(EngineFailed, match="without a name"):
        nameless.calls.whole()


def test_a_call_is_told_as_it_is_written_and_whole_in_the_end() -> None:
    chunks = OpenAIChunks("e", inference(tools=[{}]))
    calls = [
        {"index": 0, "id": "a", "function": {"name": "read", "arguments": '{"p'}},
        {"index": 0, "function": {"arguments": '": 1}'}},
        {"index": 1, "function": {"name": "late", "arguments": "{"}},
        {"index": 1, "id": "b", "function": {"arguments": "}"}},
    ]
    parts: list[contract.CallPart] = []
    for call in calls:
        delta = chunks.delta(msgspec.json.encode({"choices": [{"delta": {"tool_calls": [call]}}]}))
        parts += delta.call_parts if delta is not None else []
    assert parts == [
        contract.CallPart(0, '{"p', "a", "read"),
        contract.CallPart(0, '": 1}'),
        contract.CallPart(1, "{}", "b", "late"),
    ]
    assert [call["function"]["arguments"] for call in chunks.calls.whole()] == ['{"p": 1}', "{}"]
    demanded = OpenAIChunks("e", inference(tools=[{}], tool_choice="required"))
    delta = demanded.delta(msgspec.json.encode({"choices": [{"delta": {"tool_calls": calls[:1]}}]}))
    assert delta is not None
    assert delta.call_parts == [], "what must be looked at first is told when it is whole"
