"""The names of responses, conversations and their items as OpenAI writes them. Pure."""

from __future__ import annotations

import re
import uuid

RESPONSE = "resp_"
CONVERSATION = "conv_"
ITEM_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
}
"""What an item's id begins with, by its type; `OTHER` for every other type."""
OTHER = "item_"
_OF_ANSWER = re.compile(r"[a-z]{2,8}_([0-9a-f]{32})(?:_[0-9]{1,6})?", re.ASCII)


def id_of(name: object, prefix: str) -> uuid.UUID | None:
    """The UUID in ``name``; ``None`` for what is no such name."""
    if not isinstance(name, str) or not name.startswith(prefix) or len(name) != len(prefix) + 32:
        return None
    try:
        return uuid.UUID(hex=name.removeprefix(prefix))
    except ValueError:
        return None


def response_of_item(name: str) -> uuid.UUID | None:
    """The response that an item of an answer belongs to: ``fc_``, the response's digits, perhaps ``_`` and a number."""
    found = _OF_ANSWER.fullmatch(name)
    return uuid.UUID(hex=found.group(1)) if found else None


def response_name(key: uuid.UUID) -> str:
    return RESPONSE + key.hex


def conversation_name(key: uuid.UUID) -> str:
    return CONVERSATION + key.hex


def item_name(kind: str, key: uuid.UUID) -> str:
    return ITEM_PREFIXES.get(kind, OTHER) + key.hex
