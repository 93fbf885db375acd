"""What a model calls: tool calls come from the engines in OpenAI's form, with their arguments as text."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.kernel import errors


def arguments(call: dict[str, Any]) -> dict[str, Any]:
    """The arguments as an object. Raises `EngineFailed` when the model wrote what is none."""
    function = call["function"]
    given = function.get("arguments") or "{}"
    try:
        found = msgspec.json.decode(given) if isinstance(given, str) else given
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise errors.EngineFailed(
            f"The model called the tool '{function['name']}' with arguments that are no JSON object."
        )
    return found
