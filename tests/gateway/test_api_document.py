"""docs/api.md says what the code does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from models_registry.protocol.routes import ROUTES as MANAGEMENT
from ollamamax.gateway.anthropic import requests as anthropic
from ollamamax.gateway.app import ROUTES
from ollamamax.gateway.ignored import Ignored
from ollamamax.gateway.ollama import requests as ollama
from ollamamax.gateway.openai import completions, response_request
from ollamamax.gateway.openai import requests as openai
from ollamamax.kernel.errors import Unsupported

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_table", ROOT / ".ci" / "api_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


table = _load()


def test_the_document_is_current() -> None:
    text = table.DOCUMENT.read_text()
    assert table.written(text) == text, "run python .ci/api_table.py"


def test_every_route_with_a_body_is_in_it() -> None:
    inference = {path for path, route in ROUTES.items() if route.method == "POST"}
    inference.discard("/v1/responses/input_tokens")  # takes the body of the route above it
    # A file is a form, and to cancel says nothing.
    own = inference | {path for path, route in MANAGEMENT.items() if route.body}
    assert set(table.BODIES) == own | {"/v1/batches"}


@pytest.mark.parametrize("path", sorted(table.BODIES))
def test_what_is_ignored_or_refused_is_a_field(path: str) -> None:
    body = table.BODIES[path]
    known = set(body.struct.__struct_encode_fields__)
    for name in [*body.ignored, *body.refused, *body.harmless]:
        assert name.partition(".")[0] in known


MAKERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "/v1/chat/completions": (openai.to_inference, {"messages": [{"role": "user", "content": "x"}]}),
    "/v1/completions": (completions.to_inference, {"prompt": "x"}),
    "/v1/responses": (response_request.to_inference, {"input": "x"}),
    "/v1/messages": (anthropic.to_inference, {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5}),
    "/v1/messages/count_tokens": (anthropic.count_inference, {"messages": [{"role": "user", "content": "x"}]}),
    "/api/generate": (lambda body: ollama.generate_inference(body, Ignored()), {"prompt": "x"}),
    "/api/chat": (
        lambda body: ollama.chat_inference(body, Ignored()),
        {"messages": [{"role": "user", "content": "x"}]},
    ),
}
CASES = [(path, name) for path in MAKERS for name in [*table.BODIES[path].refused, *table.BODIES[path].harmless]]


@pytest.mark.parametrize(("path", "name"), CASES)
def test_what_it_calls_refused_is_refused_by_name(path: str, name: str) -> None:
    to_inference, least = MAKERS[path]
    struct = table.BODIES[path].struct
    outer, _, inner = name.partition(".")
    for sample in (2, True, "x", [1], ["x"], {"1": 1.0}, {"x": "y"}, [{"x": "y"}]):
        given = {outer: {inner: sample}} if inner else {outer: sample}
        try:
            request = msgspec.convert({"model": "m", **least, **given}, struct)
        except msgspec.ValidationError:
            continue
        with pytest.raises(Unsupported) as error:
            to_inference(request)
        assert error.value.fields["param"] == name
        return
    raise AssertionError(f"no value fits {name}")


def test_the_parts_that_others_run_are_named() -> None:
    assert "| parallel_tool_calls false | if the model can | refused |" in table.engine_table()
    assert (
        "| `/api/chat` | `options.num_gpu` | ignored: the fleet decides how a node loads a model |"
        in table.field_table()
    )
