"""How servers say that a request has more tokens than the model's context: by a code, or only in words. Pure."""

from __future__ import annotations

import re

_TOO_LONG = re.compile(
    # OpenAI and what follows it; llama.cpp, for a chat and for a text to embed
    r"context_length_exceeded|exceed_context_size|exceeds the available context size|is too large to process"
    # vLLM, SGLang, Ollama
    r"|maximum (context|input|prompt) length|longer than the model's context length|exceeds the context length"
    r"|prompt( is)? too long|exceeded max context length"
    # TGI
    r"|`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than",
    re.IGNORECASE,
)


def too_long(error: str) -> bool:
    """Whether an error says that the request does not fit into the model's context."""
    return _TOO_LONG.search(error) is not None
