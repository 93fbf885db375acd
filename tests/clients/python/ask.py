"""What `langchain-ollama` and `litellm` make of the gateway's answers: ``python ask.py URL KEY MODEL CLIENT``, one JSON document out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

URL, KEY, MODEL, CLIENT = sys.argv[1:]
SAY = [{"role": "user", "content": "one two three"}]
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "sum", "description": "Adds.", "parameters": PARAMETERS}}
SCHEMA = {"title": "answer", "type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def langchain() -> dict[str, Any]:
    from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

    to = {"model": MODEL, "base_url": URL, "client_kwargs": {"headers": {"Authorization": f"Bearer {KEY}"}}}
    chat = ChatOllama(**to)
    answer = chat.invoke("one two three")
    called = chat.bind_tools([TOOL]).invoke("one two three")
    return {
        "chat": answer.content,
        "usage": answer.usage_metadata,
        "streamed": [part.content for part in chat.stream("one two three") if part.content],
        "called": [[call["name"], call["args"]] for call in called.tool_calls],
        "formatted": chat.with_structured_output(SCHEMA, method="json_schema").invoke("one two three"),
        "completed": OllamaLLM(**to).invoke("one two"),
        "vectors": OllamaEmbeddings(**to).embed_documents(["a", "four"]),
    }


def _litellm(prefix: str, base: str, vectors: bool) -> dict[str, Any]:
    import litellm

    litellm.suppress_debug_info = True
    to = {"model": f"{prefix}/{MODEL}", "api_base": base, "api_key": KEY, "num_retries": 0}
    answer = litellm.completion(messages=SAY, **to)
    called = litellm.completion(messages=SAY, tools=[TOOL], **to).choices[0].message.tool_calls
    parts = [part.choices[0].delta.content for part in litellm.completion(messages=SAY, stream=True, **to)]
    found = {
        "chat": answer.choices[0].message.content,
        "usage": [answer.usage.prompt_tokens, answer.usage.completion_tokens],
        "streamed": [part for part in parts if part],
        "called": [[call.function.name, json.loads(call.function.arguments)] for call in called],
    }
    if vectors:
        rows = litellm.embedding(input=["a", "four"], **to).data
        found["vectors"] = [row["embedding"] for row in rows]
    try:
        litellm.completion(messages=SAY, **(to | {"model": f"{prefix}/absent"}))
    except litellm.exceptions.APIError as error:  # the base of them all
        found["missing"] = error.status_code
    except Exception as error:  # noqa: BLE001 - reported, not judged here
        found["missing"] = getattr(error, "status_code", repr(error))
    return found


CLIENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "langchain-ollama": langchain,
    "litellm-openai": lambda: _litellm("openai", f"{URL}/v1", vectors=True),
    "litellm-ollama": lambda: _litellm("ollama_chat", URL, vectors=False),
    "litellm-anthropic": lambda: _litellm("anthropic", URL, vectors=False),
}

print(json.dumps(CLIENTS[CLIENT](), default=str))  # noqa: T201
