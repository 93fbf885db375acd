"""One model's name in the ways that Ollama reads it (``types/model/name.go`` and ``server/routes.go`` there). Pure.

In any case, with or without the tag ``latest``, the namespace ``library``, Ollama's own registry as the host and a scheme before it.
"""

from __future__ import annotations

from ollamamax.contract.model_names import with_tag

HOST = "registry.ollama.ai/"
LIBRARY = "library/"
_SCHEMES = ("https://", "http://")
_LOCAL = ":local"
"""What a client writes behind a name to say that it does not mean a model of Ollama's cloud."""


def shortest(name: str) -> str:
    """Without what Ollama adds by itself, but for the tag."""
    found = name.strip()
    for scheme in _SCHEMES:
        if found.lower().startswith(scheme) and "/" in found[len(scheme) :]:
            found = found[len(scheme) :]
            break
    if found.lower().startswith(HOST):
        found = found[len(HOST) :]
    if found.lower().startswith(LIBRARY) and found.count("/") == 1:
        found = found[len(LIBRARY) :]
    return found


def canonical(name: str) -> str:
    """The same text for all spellings of a name, and another one for every other name."""
    found = shortest(name).lower()
    return with_tag(found.removesuffix(_LOCAL) or found)
