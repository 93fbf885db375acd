"""docs/api.md says what the code does."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from models_registry.protocol.routes import ROUTES as MANAGEMENT
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.ollama import embed
from ollamamax.gateway.ollama import requests as ollama
from ollamamax.gateway.routes import ROUTES
from ollamamax.kernel.errors import InvalidRequest, Unsupported

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


table = _load("api_table")
client_fields = _load("client_fields")


def test_every_parameter_of_the_official_clients_has_its_place() -> None:
    assert client_fields.unclassified() == []


def test_the_document_is_current() -> None:
    text = table.DOCUMENT.read_text()
    assert table.written(text) == text, "run python .ci/api_table.py"


def test_every_route_with_a_body_is_in_it() -> None:
    inference = {path for path, route in ROUTES.items() if route.method == "POST"}
    inference.discard("/v1/responses/input_tokens")  # takes the body of the route above it
    # A file is a form, and to cancel says nothing.
    own = inference | {path for path, route in MANAGEMENT.items() if route.fields}
    assert set(table.TABLES) == own | {"/v1/batches"}


@pytest.mark.parametrize("path", sorted(path for path in table.TABLES if path.startswith("/api/")))
def test_what_ollamas_api_refuses_is_in_its_struct(path: str) -> None:
    assert set(table.TABLES[path].refused) <= set(table.TABLES[path].struct.__struct_encode_fields__)


@pytest.mark.parametrize("path", sorted(table.TABLES))
def test_no_field_has_two_places(path: str) -> None:
    names = [name for name, _ in table.TABLES[path].rows()]
    assert len(names) == len(set(names))


LEAST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/completions": {"prompt": "x"},
    "/v1/embeddings": {"input": "x"},
    "/v1/rerank": {"query": "x", "documents": ["y"]},
    "/v1/responses": {"input": "x"},
    "/v1/messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/batches": {"input_file_id": "x", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "/api/chat": {"messages": [{"role": "user", "content": "x"}]},
    "/api/generate": {"prompt": "x"},
    "/api/embed": {"input": "x"},
    "/api/embeddings": {"prompt": "x"},
}


def _with(path: str, name: str, value: Any) -> bytes:
    """The least body with one field more, perhaps in an object of its own."""
    body: dict[str, Any] = copy.deepcopy(LEAST.get(path, {}))
    if any(each == "model" for each, _ in table.rows(path)):
        body["model"] = "m"
    *outer, last = name.split(".")
    place: Any = body
    for each in outer:
        place = place.setdefault(each, {"type": "enabled"} if each == "thinking" else {})
        if isinstance(place, list):
            place = place[0]
    place[last] = value
    return msgspec.json.encode(body)


def _some(path: str, name: str) -> Any:
    """A value that asks for something, of the type that Ollama's server wants where it looks."""
    if name in {"truncate", "shift", "options.use_mmap", "_debug_render_only"}:
        return True
    if name == "options.stop":
        return ["x"]
    if name.startswith("options."):
        return 77
    return "x" if path.startswith("/api/") and name != "info" else {"x": "y"}


PLACED = [(path, "ignored", name) for path in table.TABLES for name in table.TABLES[path].ignored]
PLACED += [(path, "refused", name) for path in table.TABLES for name in table.TABLES[path].refused]


@pytest.mark.parametrize(("path", "kind", "name"), PLACED)
def test_a_field_is_ignored_or_refused_as_the_table_says(path: str, kind: str, name: str) -> None:
    if name == "messages.tool_calls.index":
        return  # a call of its own shows it: see test_fields
    fields, ignored = table.TABLES[path], Ignored()
    assert fields.parse(_with(path, name, None), Ignored()) is not None
    if kind == "ignored":
        fields.parse(_with(path, name, _some(path, name)), ignored, strict=True)
        assert list(ignored) == [name]
        return
    for value in fields.refused[name].harmless:
        fields.parse(_with(path, name, value), ignored)
    assert list(ignored) == []
    with pytest.raises(Unsupported) as error:
        fields.parse(_with(path, name, _some(path, name)), ignored)
    assert error.value.fields["param"] == name


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TRANSLATED: dict[str, Any] = {
    "repetition_penalty": 1.1,
    "n_predict": 7,
    "typical": 0.5,
    "options": {"top_k": 3},
    "guided_json": SCHEMA,
    "json_schema": SCHEMA,
    "structured_outputs": {"json": SCHEMA},
    "format": "json",
    "reasoning": {"effort": "low"},
    "think": True,
    "enable_thinking": False,
    "thinking": {"type": "enabled"},
    "messages.reasoning": "hm",
    "messages.thinking": "hm",
    "output_format": {"type": "json_schema", "schema": SCHEMA},
}
WORDS = [(path, name) for path in table.TABLES for name in table.TABLES[path].translated if name != "thread"]


@pytest.mark.parametrize(("path", "name"), WORDS)
def test_another_servers_word_changes_what_is_asked(path: str, name: str) -> None:
    fields, ignored = table.TABLES[path], Ignored()
    asked = fields.parse(_with(path, name, TRANSLATED[name]), ignored, strict=True)
    assert asked != fields.parse(_with(path, name, None), Ignored())
    assert list(ignored) == []


OLLAMA: dict[str, Any] = {
    "/api/chat": ollama.chat_inference,
    "/api/generate": ollama.generate_inference,
    "/api/embed": embed.embed_inference,
    "/api/embeddings": embed.embeddings_inference,
}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in OLLAMA for name in table.TABLES[path].ignored], ids=str
)
def test_what_ollamas_api_ignores_changes_nothing(path: str, name: str) -> None:
    asked = [
        OLLAMA[path](table.TABLES[path].parse(_with(path, name, value), Ignored()), Ignored())
        for value in (_some(path, name), None)
    ]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("path", sorted(table.TABLES))
def test_what_nobody_knows_is_ignored_and_told_or_refused_where_strictness_is_asked_for(path: str) -> None:
    fields, ignored = table.TABLES[path], Ignored()
    fields.parse(_with(path, "temprature", 1), ignored)
    assert list(ignored) == ["temprature"]
    if path.startswith("/api/"):
        return  # Ollama's clients are used to a server that reads over what it does not know
    with pytest.raises(InvalidRequest, match="temprature") as error:
        fields.parse(_with(path, "temprature", 1), ignored, strict=True)
    assert error.value.fields["param"] == "temprature"


def test_the_parts_that_others_run_are_named() -> None:
    assert "| parallel_tool_calls false | if the model can | refused |" in table.engine_table()
    assert (
        "| `/api/chat` | `options.num_gpu` | ignored: the fleet decides how a node loads a model |"
        in table.field_table()
    )
