"""What a request is expected to use, before it ran: for fairness and token rates. Corrected when it is settled."""

from __future__ import annotations

from typing import Any

from cluster.wire import Inference

UNKNOWN_COMPLETION = 256
"""Tokens that an answer is expected to have while none of its model was seen."""
_SHARE_OF_LAST = 0.1
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 500


class Expectation:
    """Remembers how long the answers of each version are."""

    def __init__(self) -> None:
        self._lengths: dict[str, float] = {}

    def of(self, version: str, inference: Inference) -> tuple[int, int]:
        """Tokens of prompt and completion."""
        completion = 0
        if inference.kind in {"chat", "completion"}:
            completion = round(self._lengths.get(version, UNKNOWN_COMPLETION))
            if inference.options.max_tokens is not None:
                completion = min(completion, inference.options.max_tokens)
        return prompt_tokens(inference), completion

    def seen(self, version: str, completion_tokens: int) -> None:
        """An answer ended by itself after so many tokens."""
        before = self._lengths.get(version)
        if before is None:
            self._lengths[version] = completion_tokens
        else:
            self._lengths[version] = before + _SHARE_OF_LAST * (completion_tokens - before)


def prompt_tokens(inference: Inference) -> int:
    """An estimate from the number of characters, which is all that is known without the model's tokenizer."""
    characters = len(inference.prompt) + sum(map(len, inference.inputs))
    images = 0
    for message in inference.messages:
        content: Any = message.get("content")
        if isinstance(content, str):
            characters += len(content)
            continue
        for part in content or ():
            characters += len(part.get("text") or "")
            images += part.get("type") == "image_url"
    return characters // _CHARACTERS_PER_TOKEN + images * _TOKENS_PER_IMAGE
