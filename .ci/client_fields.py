"""Fails when a parameter that the official clients have is neither supported, translated, ignored nor refused here.

``python .ci/client_fields.py`` reads the types of the installed `openai`, `anthropic` and `ollama`, and the tables of `api_table`.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api_table
import ollama._types as ollama
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count
from anthropic.types.beta import message_create_params as beta_create
from openai.types import batch_create_params, completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params

TYPED: dict[str, tuple[Any, ...]] = {
    "/v1/chat/completions": (chat_params.CompletionCreateParams,),
    "/v1/completions": (completion_create_params.CompletionCreateParams,),
    "/v1/embeddings": (embedding_create_params.EmbeddingCreateParams,),
    "/v1/responses": (response_create_params.ResponseCreateParams,),
    "/v1/batches": (batch_create_params.BatchCreateParams,),
    "/v1/messages": (message_create_params.MessageCreateParams, beta_create.MessageCreateParams),
    "/v1/messages/count_tokens": (
        message_count_tokens_params.MessageCountTokensParams,
        beta_count.MessageCountTokensParams,
    ),
    "/api/chat": (ollama.ChatRequest,),
    "/api/generate": (ollama.GenerateRequest,),
    "/api/embed": (ollama.EmbedRequest,),
    "/api/embeddings": (ollama.EmbeddingsRequest,),
    "/api/create": (ollama.CreateRequest,),
    "/api/pull": (ollama.PullRequest,),
    "/api/push": (ollama.PushRequest,),
    "/api/show": (ollama.ShowRequest,),
    "/api/copy": (ollama.CopyRequest,),
    "/api/delete": (ollama.DeleteRequest,),
}


def parameters(kind: Any, place: str = "", depth: int = 2) -> Iterator[str]:
    """The paths of all fields that a type has, down to ``depth``; of a union those of all its members."""
    if typing.is_typeddict(kind) or hasattr(kind, "model_fields"):
        hints = typing.get_type_hints(kind, include_extras=False)
        of_models = getattr(kind, "model_fields", {})
        for name in of_models or hints:
            yield place + name.removesuffix("_")
            if depth > 1:
                yield from parameters(hints[name], f"{place}{name}.", depth - 1)
        return
    for each in typing.get_args(kind):
        if not isinstance(each, str):
            yield from parameters(each, place, depth)


def unclassified() -> list[tuple[str, str]]:
    """Route and path of each parameter that no table places."""
    found = []
    for path, kinds in TYPED.items():
        status = dict(api_table.rows(path))
        wholes = {name for name in status if not any(other.startswith(f"{name}.") for other in status)}
        closed = {name for name, said in status.items() if said != "supported"}
        for name in dict.fromkeys(each for kind in kinds for each in parameters(kind)):
            outer = name.partition(".")[0]
            # What lies in one that is passed on, or has no effect, as a whole shares its fate.
            if name not in status and not ("." in name and (outer in wholes or outer in closed)):
                found.append((path, name))
    return found


def main() -> int:
    found = unclassified()
    for path, name in found:
        print(f"{path}: {name} is in no table")  # noqa: T201
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
