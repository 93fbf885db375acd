"""Bodies and chunks of Ollama's API, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.engines import ollama_wire
from cluster.engines.ollama import _moment
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, InvalidRequest, Unsupported


def chat(*messages: dict[str, Any], **given: Any) -> dict[str, Any]:
    return ollama_wire.chat(contract.Inference("chat", messages=list(messages), **given), "m")


def test_options_have_ollamas_names_and_those_that_load_are_apart() -> None:
    options = contract.Options(max_tokens=5, temperature=0.0, num_ctx=2048, stop=["a"], repeat_penalty=1.1)
    assert chat({"role": "user", "content": "Hi"}, options=options)["options"] == {
        "num_predict": 5,
        "temperature": 0.0,
        "stop": ["a"],
        "repeat_penalty": 1.1,
    }


def test_images_go_beside_the_text() -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
    ]
    [message] = chat({"role": "user", "content": content})["messages"]
    assert message == {"role": "user", "content": "What is this?", "images": ["QUJD"]}
    content[1] = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    with pytest.raises(Unsupported, match="base64"):
        chat({"role": "user", "content": content})
    with pytest.raises(Unsupported, match="input_audio"):
        chat({"role": "user", "content": [{"type": "input_audio"}]})


def test_tool_calls_and_their_results() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    made = chat(
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    )["messages"]
    assert made[0]["role"] == "system"
    assert made[1]["tool_calls"] == [{"function": {"name": "f", "arguments": {"x": 1}}}]
    assert made[2] == {"role": "tool", "content": "2", "tool_name": "f"}
    call["function"]["arguments"] = "{broken"  # type: ignore[index]
    with pytest.raises(InvalidRequest):
        chat({"role": "assistant", "tool_calls": [call]})


def test_a_choice_of_tools() -> None:
    message = {"role": "user", "content": "Hi"}
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert chat(message, tools=tools)["tools"] == tools
    assert chat(message, tools=tools, tool_choice="auto")["tools"] == tools
    assert "tools" not in chat(message, tools=tools, tool_choice="none")
    two: list[dict[str, Any]] = [
        *tools,
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}},
    ]
    cases: list[tuple[Any, list[dict[str, Any]]]] = [
        ("required", two),
        ({"type": "function", "function": {"name": "g"}}, two[1:]),
    ]
    for choice, offered in cases:
        made = chat(message, tools=two, tool_choice=choice)
        assert made["tools"] == offered
        names = [call["properties"]["name"]["const"] for call in made["format"]["$defs"].values()]
        assert names == [tool["function"]["name"] for tool in offered]
    for wrong in ({"type": "function", "function": {"name": "h"}}, "sometimes"):
        with pytest.raises(InvalidRequest, match="tool_choice"):
            chat(message, tools=two, tool_choice=wrong)


@pytest.mark.parametrize(
    "schema",
    [{"pattern": r"^\d$"}, {"pattern": "ab"}, {"pattern": "^.$"}, {"type": "number", "minimum": 0}, {"not": {}}],
)
def test_what_its_grammars_leave_out_is_refused(schema: dict[str, Any]) -> None:
    message = {"role": "user", "content": "Hi"}
    with pytest.raises(Unsupported):
        chat(message, format={"type": "object", "properties": {"a": {"type": "string"} | schema}})
    chat(message, format={"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]{2}$"}}})


def test_an_answer_that_is_begun_goes_on_in_the_message_that_began_it() -> None:
    asked = contract.Inference(
        "chat",
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}],
        continued="lo",
        options=contract.Options(stop=["", "x"]),
    )
    made = ollama_wire.chat(asked, "m")
    assert made["messages"][-1] == {"role": "assistant", "content": "Hello"}
    assert made["options"]["stop"] == ["x"]


def test_counts_that_are_not_told_are_marked() -> None:
    chunks = ollama_wire.OllamaChunks()
    chunks.delta({"message": {"content": "a"}})
    chunks.delta({"message": {"content": "b"}, "done": True})
    assert (chunks.final().completion_tokens, chunks.final().estimated) == (2, True)
    chunks.delta({"done": True, "prompt_eval_count": 3, "eval_count": 5})
    assert (chunks.final().completion_tokens, chunks.final().estimated) == (5, False)


def test_completions_are_raw_unless_they_have_a_suffix() -> None:
    assert ollama_wire.generate(contract.Inference("completion", prompt="p"), "m")["raw"] is True
    made = ollama_wire.generate(contract.Inference("completion", prompt="p", suffix="s"), "m")
    assert made["suffix"] == "s"
    assert "raw" not in made
    with pytest.raises(Unsupported):
        ollama_wire.generate(contract.Inference("completion", prompt="p", tools=[{}]), "m")


def test_format_think_and_keep_alive_are_passed_on() -> None:
    made = chat({"role": "user", "content": "Hi"}, format={"type": "object"}, think="high", keep_alive=-1)
    assert (made["format"], made["think"], made["keep_alive"]) == ({"type": "object"}, "high", -1)
    assert "think" not in chat({"role": "user", "content": "Hi"})


def test_chunks() -> None:
    chunks = ollama_wire.OllamaChunks()
    assert chunks.delta({"message": {"content": "", "thinking": "hm"}, "done": False}) == contract.Delta("", "hm", 1)
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    delta = chunks.delta({"message": {"content": "", "tool_calls": [call]}, "done": False})
    assert delta is not None
    assert delta.tool_calls[0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    chunks.delta(
        {
            "message": {"content": ""},
            "done": True,
            "done_reason": "stop",
            "total_duration": 3_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": 7,
            "eval_count": 9,
            "eval_duration": 2_000_000,
        }
    )
    final = chunks.final()
    assert (final.finish_reason, final.prompt_tokens, final.completion_tokens) == ("tool_calls", 7, 9)
    assert (final.total_ms, final.load_ms, final.eval_ms, final.prompt_ms) == (3.0, 1.0, 2.0, 0.0)


def test_errors_in_the_stream() -> None:
    chunks = ollama_wire.OllamaChunks()
    with pytest.raises(EngineFailed, match="unexpected EOF"):
        chunks.delta({"error": "unexpected EOF"})
    with pytest.raises(EngineFailed, match="without finishing"):
        chunks.final()


def test_moments() -> None:
    assert _moment("2026-11-01T10:00:00.123456789+01:00") == pytest.approx(1793523600.123, abs=0.001)
    assert _moment("2318-01-01T00:00:00Z") is None
    assert _moment(None) is None


@pytest.mark.parametrize(
    "name", [name for name in contract.Options.__struct_fields__ if name not in {"num_ctx", "stop"}]
)
def test_no_option_is_dropped_in_silence(name: str) -> None:
    values: dict[str, Any] = {"logit_bias": {"7": 1.0}, "stop_token_ids": [3], "ignore_eos": True}
    value = values.get(name, 1)
    try:
        made = chat({"role": "user", "content": "Hi"}, options=contract.Options(**{name: value}))["options"]
    except Unsupported as error:
        refused = error.fields["param"]
    else:
        assert list(made.values()) == [value]
        return
    assert refused == name


def test_tokens_and_switches_of_a_template_are_refused() -> None:
    with pytest.raises(Unsupported):
        ollama_wire.generate(contract.Inference("completion", prompt_ids=[1]), "m")
    with pytest.raises(Unsupported):
        ollama_wire.embed(contract.Inference("embed", input_ids=[[1]]), "m")
    with pytest.raises(Unsupported):
        chat({"role": "user", "content": "Hi"}, template_kwargs={"x": 1})


def test_a_chat_with_its_tokens_is_asked_where_ollama_takes_them() -> None:
    given = contract.Inference(
        "chat",
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        context=[1, 2],
        with_context=True,
    )
    made = ollama_wire.remembering(given, "m")
    assert (made["prompt"], made["system"], made["context"], made["model"]) == ("hi", "Be brief.", [1, 2], "m")
    assert "messages" not in made
    chunks = ollama_wire.OllamaChunks()
    chunks.delta({"response": "ho", "done": False})
    chunks.delta({"response": "", "done": True, "done_reason": "stop", "context": [1, 2, 3]})
    assert chunks.final().context == [1, 2, 3]
