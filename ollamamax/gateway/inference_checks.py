"""What no engine is to see, whatever protocol asks for it; and one form for what protocols say in several. Pure."""

from __future__ import annotations

from ollamamax.contract import Inference
from ollamamax.gateway import schemas
from ollamamax.kernel import errors

_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def check(inference: Inference) -> None:
    """Raises `Unsupported` for an image that would have to be fetched, and `InvalidRequest` for schemas beyond their bounds and
    for a level of thinking that nobody knows."""
    if inference.messages:
        _refuse_addresses(inference)
    if inference.format is not None or inference.tools:
        schemas.check(inference)
    if isinstance(inference.think, str):
        if inference.think not in _EFFORTS:
            raise errors.InvalidRequest(
                f"A level of thinking is one of {', '.join(sorted(_EFFORTS))}.", param="reasoning_effort"
            )
        if inference.think == "none":
            inference.think = False
    if "" in inference.options.stop:
        # It would end every answer before it begins.
        inference.options.stop = [each for each in inference.options.stop if each]


def _refuse_addresses(inference: Inference) -> None:
    """Images come in the request. An engine that fetched an address would do so from inside the fleet's network."""
    for message in inference.messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "image_url":
                image = part.get("image_url")
                url = image.get("url") if isinstance(image, dict) else image
                if not isinstance(url, str) or not url.startswith("data:"):
                    raise errors.Unsupported(
                        "An image must be given as a data: URL; this server fetches no addresses.", param="messages"
                    )
