"""How Ollama's requests are read: a matrix made of the requests' own fields, judged by what Ollama's server does."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.contract import Inference
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.ollama import embed, requests
from ollamamax.gateway.ollama.durations import FOREVER, seconds
from ollamamax.gateway.ollama.embed import shortened
from ollamamax.gateway.ollama.options import LEFT_TO_THE_FLEET, SamplingOptions
from ollamamax.kernel.errors import InvalidRequest

LEAST: dict[str, dict[str, Any]] = {
    "/api/chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "/api/generate": {"model": "m", "prompt": "x"},
    "/api/embed": {"model": "m", "input": "x"},
    "/api/embeddings": {"model": "m", "prompt": "x"},
}
READERS: dict[str, tuple[Any, Any]] = {
    "/api/chat": (requests.CHAT, requests.chat_inference),
    "/api/generate": (requests.GENERATE, requests.generate_inference),
    "/api/embed": (embed.EMBED, embed.embed_inference),
    "/api/embeddings": (embed.EMBEDDINGS, embed.embeddings_inference),
}
PATHS = list(READERS)
FIELDS = [(path, name) for path in PATHS for name in READERS[path][0].struct.__struct_encode_fields__]
OPTIONS = SamplingOptions.__struct_fields__
WHOLE = [name for name in OPTIONS if "int" in str(SamplingOptions.__annotations__[name])]
REAL = [name for name in OPTIONS if "float" in str(SamplingOptions.__annotations__[name])]
GIVEN_UP = (
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "tfs_z",
    "low_vram",
    "f16_kv",
    "use_mlock",
    "numa",
    "vocab_only",
)


def read(path: str, body: Any) -> tuple[Inference, list[str]]:
    fields, to_inference = READERS[path]
    ignored = Ignored()
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return to_inference(fields.parse(text, ignored), ignored), list(ignored)


def chat(**more: Any) -> tuple[Inference, list[str]]:
    return read("/api/chat", {**LEAST["/api/chat"], **more})


def test_null_is_absent() -> None:
    for path, name in FIELDS:
        least = LEAST[path]
        without = {field: value for field, value in least.items() if field != name}
        assert read(path, {**least, name: None}) == read(path, without), (path, name)


def test_names_of_fields_are_found_in_any_case() -> None:
    for path, name in FIELDS:
        least = LEAST[path]
        body = {**least, name.upper(): None}
        if name in least:
            body = {field if field != name else name.title(): value for field, value in least.items()}
        assert read(path, body) == read(path, least), (path, name)


@pytest.mark.parametrize("path", PATHS)
def test_what_nobody_knows_is_read_over_and_told(path: str) -> None:
    inference, ignored = read(path, {**LEAST[path], "tool_choice": "required", "options": {"frobs": [1], "Seed": 3}})
    assert inference == read(path, LEAST[path])[0]
    assert ignored == ["tool_choice", "options.frobs", "options.Seed"]


def test_unknown_parts_of_messages_and_tools_are_told_with_their_place() -> None:
    message = {"role": "User", "content": "x", "name": "Ann"}
    tool = {"function": {"name": "f", "parameters": {"anything": 1}}}
    inference, ignored = chat(messages=[message], tools=[tool])
    assert inference.messages == [{"role": "user", "content": "x"}]
    assert inference.tools == [{"type": "function", **tool}]
    assert ignored == ["messages[0].name"]


# Options


def test_a_number_for_a_whole_option_is_cut() -> None:
    for name in WHOLE:
        for given_, meant in ((40.0, 40), (40.7, 40), (-1.9, -1), (1e3, 1000)):
            assert chat(options={name: given_}) == chat(options={name: meant}), name


def test_an_option_of_another_type_is_refused_in_ollamas_words() -> None:
    for name in OPTIONS:
        kind = "integer" if name in WHOLE else "float32" if name in REAL else "array" if name == "stop" else "boolean"
        wrong: list[Any] = ["0.5" if name != "stop" else 5, {}, [1], 1e300 if name in WHOLE else {"x": 1}]
        wrong.append(True if kind != "boolean" else 1)
        for value in wrong:
            with pytest.raises(InvalidRequest) as error:
                chat(options={name: value})
            assert error.value.fields["param"] == f"options.{name}"
            assert f'option "{name}" must be of' in error.value.message
        assert chat(options={name: None}) == chat(), name


def test_options_at_their_defaults_ask_for_nothing() -> None:
    defaults = {name.removeprefix("options."): value for name, value in LEFT_TO_THE_FLEET.items() if value is not None}
    assert chat(options={**defaults, "seed": -1, "num_ctx": 0, "stop": [""]}) == chat()
    _, ignored = chat(options=dict.fromkeys(defaults, 7))
    assert ignored == [f"options.{name}" for name in defaults]


def test_options_that_ollama_has_given_up_are_told() -> None:
    for name in GIVEN_UP:
        inference, ignored = chat(options={name: 1, "top_k": 3})
        assert ignored == [f"options.{name}"]
        assert inference.options.top_k == 3


def test_options_that_engines_know_reach_them() -> None:
    given_ = {"typical_p": 0.5, "repeat_last_n": 32, "min_p": 0.1, "top_k": 3, "stop": "x", "num_predict": -2}
    options = chat(options=given_)[0].options
    assert (options.typical_p, options.repeat_last_n, options.min_p, options.top_k) == (0.5, 32, 0.1, 3)
    assert (options.stop, options.max_tokens) == (["x"], -1)


# Other fields


def test_all_that_is_empty_is_as_if_it_were_not_there() -> None:
    empty = {"suffix": "", "system": "", "template": "", "context": [], "images": [], "format": "", "raw": False}
    assert read("/api/generate", {**LEAST["/api/generate"], **empty}) == read("/api/generate", LEAST["/api/generate"])
    assert chat(tools=[], format="", options={}) == chat()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": None}),
        ("/api/chat", {}),
        ("/api/generate", {"prompt": ""}),
        ("/api/generate", {"images": []}),
        ("/api/embed", {}),
        ("/api/embed", {"input": None}),
        ("/api/embed", {"input": ""}),
        ("/api/embed", {"input": []}),
        ("/api/embeddings", {"prompt": ""}),
    ],
)
def test_an_empty_request_loads_the_model(path: str, body: dict[str, Any]) -> None:
    inference, _ = read(path, {"model": "m", "keep_alive": 60, **body})
    assert requests.only_memory(inference)
    assert inference.keep_alive == 60


@pytest.mark.parametrize("think", [True, False, "high", "medium", "low", "max"])
def test_thinking_is_on_off_or_a_level(think: Any) -> None:
    assert chat(think=think)[0].think == think


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("think", value) for value in ("", "true", "very", 1)),
        *(("format", value) for value in ("poem", 1, True, ["json"])),
        *(("keep_alive", value) for value in ("", "soon", "5 m", "1x", "h", True, [1])),
        *(("stream", value) for value in ("true", 0)),
        ("top_logprobs", 21),
        ("top_logprobs", -1),
        ("messages", [{"role": "king", "content": ""}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]),
        ("messages", "hi"),
        ("tools", [{}]),
        ("tools", [{"function": {"name": 5}}]),
        ("model", 5),
    ],
)
def test_what_ollama_refuses_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as error:
        chat(**{name: value})
    assert name in str(error.value.fields["param"])


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_object_is_refused(path: str) -> None:
    for body in (b"", b"  ", b"[]", b"null", b"3", b"{", b'{"model":'):
        with pytest.raises(InvalidRequest):
            read(path, body)


def test_raw_prompts_have_no_system_and_suffixes_none_of_their_own() -> None:
    with pytest.raises(InvalidRequest, match="raw mode does not support"):
        read("/api/generate", {"model": "m", "prompt": "x", "raw": True, "system": "y"})
    inference, ignored = read("/api/generate", {"model": "m", "prompt": "x", "suffix": "y", "system": "z"})
    assert (inference.kind, inference.suffix, ignored) == ("completion", "y", ["system"])


def test_more_probabilities_without_any_are_none() -> None:
    inference, ignored = chat(top_logprobs=3)
    assert (inference.logprobs, inference.top_logprobs, ignored) == (False, 0, ["top_logprobs"])


def test_images_may_be_addresses_of_data_and_arguments_text() -> None:
    png = "iVBORw0KGgoAAAANSUhEUg=="
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}', "index": 0}}
    inference, ignored = chat(
        messages=[
            {"role": "user", "content": "x", "images": [f"data:image/png;base64,{png}"]},
            {"role": "assistant", "tool_calls": [call]},
        ]
    )
    assert inference.messages[0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{png}"
    assert inference.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'
    assert ignored == []


@pytest.mark.parametrize(
    "image", ["", "x", "\x80", "żółć" * 9, "\0" * 16, "data:", "data:image/png;base64,\x80", "QUJD"]
)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_what_is_no_image_is_refused(path: str, image: str) -> None:
    more = {"images": [image]} if path == "/api/generate" else {"messages": [{"role": "user", "images": [image]}]}
    with pytest.raises(InvalidRequest, match="images"):
        read(path, {**LEAST[path], **more})


def test_broken_text_is_mended_as_go_mends_it() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"caf\xe9"}]}'
    assert read("/api/chat", body)[0].messages[0]["content"] == "caf\ufffd"


@pytest.mark.parametrize(
    ("keep_alive", "meant"),
    [
        *((number, float(number)) for number in (0, 5, 0.5)),
        *((forever, FOREVER) for forever in (-1, -0.5, "-1", "-1m", "-5s", 1e18)),
        *(("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("300ms", 0.3), (".5s", 0.5), ("0", 0), ("0s", 0), ("+1m", 60)),
        *(("10", 10), ("1us", 1e-6), ("1μs", 1e-6), ("1µs", 1e-6), ("2ns", 2e-9), ("1h0m0s", 3600)),
        (None, None),
    ],
)
def test_how_long_a_model_stays_is_a_number_or_a_duration(keep_alive: Any, meant: float | None) -> None:
    assert seconds(keep_alive) == (meant if meant is None else pytest.approx(meant))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_every_duration_that_go_writes_is_read(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(-3, 30))
def test_vectors_are_shortened_to_the_length_of_one(vector: list[float], dimensions: int) -> None:
    found = shortened(vector, dimensions)
    if not 0 < dimensions < len(vector):
        assert found == vector
        return
    assert len(found) == dimensions
    length = sum(each * each for each in found) ** 0.5
    assert length == pytest.approx(1, abs=1e-6) or max(map(abs, vector[:dimensions])) < 1e-10


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*OPTIONS, "role", "content", "function", "name", "x"]), inner, max_size=3), max_leaves=8), st.sampled_from(FIELDS))  # fmt: skip
def test_whatever_stands_in_a_field_is_read_or_the_clients_fault(value: Any, field: tuple[str, str]) -> None:
    path, name = field
    body = msgspec.json.encode({**LEAST[path], name: value})
    try:
        read(path, body)
    except InvalidRequest as error:
        assert error.status == 400  # noqa: PT017 - and no other error
