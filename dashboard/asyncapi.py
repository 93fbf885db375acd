"""The live socket as an AsyncAPI document (https://www.asyncapi.com/docs/reference/specification/v3.0.0), made of its message types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from dashboard import messages
from dashboard.topics import TOPICS, Topic

VERSION = "1"
_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_FROM_CLIENT = (messages.Subscribe, messages.Unsubscribe)
_PLAIN = (messages.Welcome, messages.TopicEnded, messages.Refused, messages.StillThere)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    types = {
        *_FROM_CLIENT,
        *_PLAIN,
        messages.TopicSnapshot,
        messages.TopicEvent,
        *(kind for topic in TOPICS.values() for kind in (topic.shown, topic.change)),
    }
    _, schemas = msgspec.json.schema_components(
        sorted(types, key=lambda kind: kind.__name__), ref_template=_SCHEMAS + "{name}"
    )
    told = {kind.__name__: _message(kind) for kind in (*_FROM_CLIENT, *_PLAIN)}
    for topic in TOPICS.values():
        told[_named(topic, "Snapshot")] = _about(topic, "snapshot", messages.TopicSnapshot, topic.shown)
        told[_named(topic, "Event")] = _about(topic, "event", messages.TopicEvent, topic.change)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OllamaMax live events",
            "version": VERSION,
            "description": (
                "One WebSocket, `/ws/live/`, entered with an API key (`Authorization: Bearer`) or, from the console's own "
                "pages, with the session's cookie. The server says welcome; the client subscribes to topics; of each a "
                "snapshot comes first and numbered events after it. An event holds what changed after number `since` up "
                "to number `seq`: a client applies it when it is at `since` or later, and subscribes anew when it is not."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": "/ws/live/",
                "messages": {name: {"$ref": _MESSAGES + name} for name in told},
            }
        },
        "operations": {
            "ask": {
                "action": "receive",
                "channel": {"$ref": "#/channels/live"},
                "summary": f"What a client sends: at most {messages.MOST_BYTES} bytes in a message.",
                "security": [
                    {"$ref": "#/components/securitySchemes/key"},
                    {"$ref": "#/components/securitySchemes/session"},
                ],
                "messages": [{"$ref": f"#/channels/live/messages/{kind.__name__}"} for kind in _FROM_CLIENT],
            },
            "tell": {
                "action": "send",
                "channel": {"$ref": "#/channels/live"},
                "summary": "What the server sends.",
                "messages": [
                    {"$ref": f"#/channels/live/messages/{name}"}
                    for name in told
                    if name not in {kind.__name__ for kind in _FROM_CLIENT}
                ],
            },
        },
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "messages": told,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "httpApiKey", "in": "cookie", "name": "sessionid"},
            },
        },
    }


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": kind.__name__,
        "summary": (kind.__doc__ or "").strip().partition("\n")[0],
        "payload": {"$ref": _SCHEMAS + kind.__name__},
    }


def _about(topic: Topic, what: str, envelope: type[msgspec.Struct], data: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": f"{topic.name}.{what}",
        "summary": topic.about,
        "description": f"Needs the permission `{topic.permission}`{f' and `{topic.also}`' if topic.also else ''}.",
        "payload": {
            "allOf": [
                {"$ref": _SCHEMAS + envelope.__name__},
                {
                    "type": "object",
                    "properties": {"topic": {"const": topic.name}, "data": {"$ref": _SCHEMAS + data.__name__}},
                },
            ]
        },
    }


def _named(topic: Topic, what: str) -> str:
    return topic.name.capitalize() + what
