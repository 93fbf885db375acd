"""Ollama's published response schemas, closed: what is not in them and not named here is an error."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCUMENT = json.loads((Path(__file__).parent / "ollama_schema.json").read_text())
TEXT, WHOLE, YES_OR_NO = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_COUNTS = (
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"),
)
BEYOND: dict[str, dict[str, Any]] = {
    # Ollama sends these too, though its document leaves them out.
    "ChatStreamEvent": {
        "done_reason": TEXT,
        **dict.fromkeys(_COUNTS, WHOLE),
        "logprobs": {"type": "array", "items": {"$ref": "#/$defs/Logprob"}},
    },
    "GenerateStreamEvent": {
        "logprobs": {"type": "array", "items": {"$ref": "#/$defs/Logprob"}},
        "context": {"type": "array", "items": WHOLE},
    },
    "GenerateResponse": {"context": {"type": "array", "items": WHOLE}},
    "ToolCall": {"id": TEXT},
    "ShowResponse": {"modelfile": TEXT, "system": TEXT, "messages": {"type": "array"}},
    "ListResponse.models.details": {"parent_model": TEXT},
    # Ours.
    "PsResponse.models": {"node": TEXT},
}
"""By the place of an object in the schemas."""
NEEDED: dict[str, set[str]] = {
    "GenerateResponse": {"model", "created_at", "response", "done", "done_reason"},
    "GenerateStreamEvent": {"model", "created_at", "response", "done"},
    "ChatResponse": {"model", "created_at", "message", "done", "done_reason"},
    "ChatStreamEvent": {"model", "created_at", "message", "done"},
    "EmbedResponse": {"model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"},
    "ShowResponse": {"details", "capabilities", "model_info", "modified_at"},
    "ListResponse": {"models"},
    "ListResponse.models": {"name", "model", "modified_at", "size", "digest", "details"},
    "PsResponse": {"models"},
    "PsResponse.models": {"name", "model", "size", "digest", "details", "expires_at"},
    "VersionResponse": {"version"},
    "ErrorResponse": {"error"},
    "StatusResponse": {"status"},
    "StatusEvent": {"status"},
}
"""Everything is optional in the published schemas; Ollama always sends these, and clients count on it."""


def _close(schema: dict[str, Any], place: str) -> None:
    if "properties" in schema:
        schema["properties"] |= BEYOND.get(place, {})
        schema["additionalProperties"] = False
        schema["required"] = sorted({*schema.get("required", ()), *NEEDED.get(place, ())})
        for name, each in schema["properties"].items():
            _close(each, f"{place}.{name}")
    elif "items" in schema:
        _close(schema["items"], place)


def _validators() -> dict[str, Draft202012Validator]:
    definitions = copy.deepcopy(DOCUMENT["$defs"])
    for name, schema in definitions.items():
        _close(schema, name)
    return {
        name: Draft202012Validator(
            {"$ref": f"#/$defs/{name}", "$defs": definitions}, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        for name in definitions
    }


_VALIDATORS = _validators()


def check(route: str, body: Any, *, line: bool = False) -> None:
    """``body`` is a good answer of a route such as ``POST /api/chat``, or with ``line`` one line of it."""
    _VALIDATORS[DOCUMENT["paths"][route]["line" if line else "whole"]].validate(body)


def check_error(body: Any) -> None:
    _VALIDATORS["ErrorResponse"].validate(body)
