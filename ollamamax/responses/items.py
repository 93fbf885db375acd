"""Items of a response's input as they are kept: each with a type and an id. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ollamamax.kernel.errors import InvalidRequest
from ollamamax.responses.names import item_name

Item = dict[str, Any]
MOST_AT_ONCE = 1000
"""Items of one input."""
LONGEST_ID = 64


def listed(given: str | list[Any]) -> list[Item]:
    """An input as items. Raises `InvalidRequest`."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    if len(given) > MOST_AT_ONCE:
        raise InvalidRequest(f"An input that is kept has at most {MOST_AT_ONCE} items.", param="input")
    found = []
    for item in given:
        if not isinstance(item, dict) or not isinstance(item.get("type", "message"), str):
            raise InvalidRequest("Each item of the input is an object with a 'type'.", param="input")
        found.append(_whole(item))
    return found


def named(items: list[Item], new_id: Callable[[], Any], taken: Collection[str] = ()) -> list[Item]:
    """Each with an id of its own: the one it came with, unless that is ``taken``, twice there, or none."""
    used = set(taken)
    found = []
    for item in items:
        name = item.get("id")
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_ID or not name.isprintable() or name in used:
            name = item_name(item["type"], new_id())
        used.add(name)
        found.append({**item, "id": name})
    return found


def _whole(item: Item) -> Item:
    """With what may be left out: its type, its status, and its content as parts."""
    whole = {"type": "message", **item}
    content = whole.get("content")
    if whole["type"] == "message":
        whole.setdefault("status", "completed")
        if isinstance(content, str):
            kind = "output_text" if whole.get("role") == "assistant" else "input_text"
            more: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
            whole["content"] = [{"type": kind, "text": content, **more}]
    return whole
