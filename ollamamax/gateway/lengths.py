"""How long a prompt and its answer may be by the limits of key and tenant. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cluster.scheduling.prompt import estimate_tokens
from ollamamax.contract import Inference
from ollamamax.kernel.errors import ContextTooLong
from ollamamax.kernel.limits import Limits

_GENERATES = frozenset({"chat", "completion"})


def within_lengths(inference: Inference, limits: Iterable[Limits]) -> Inference:
    """The inference with its answer bounded, so that a longer one ends there, as at any other ``max_tokens``.

    A prompt's tokens are estimated, as for the rates: the engine counts them when it is too late to refuse. Raises `ContextTooLong` where
    the prompt alone, or the context that is asked for, is more than the least of the ``limits``.
    """
    contexts = [each.context_tokens for each in limits if each.context_tokens is not None]
    outputs = [each.output_tokens for each in limits if each.output_tokens is not None]
    if not contexts and not outputs:
        return inference
    options = inference.options
    generates = inference.kind in _GENERATES
    if contexts:
        most = min(contexts)
        if options.num_ctx is not None and options.num_ctx > most:
            raise ContextTooLong(
                f"'num_ctx' is {options.num_ctx}, and this API key or its organisation is limited to {most}.",
                param="options.num_ctx",
                num_ctx=most,
            )
        prompt = estimate_tokens(inference)
        if prompt + generates > most:
            raise ContextTooLong(
                f"The prompt has about {prompt} tokens, and this API key or its organisation is limited to {most} in"
                " prompt and answer together.",
                param="messages" if inference.kind == "chat" else "prompt" if generates else "input",
                num_ctx=most,
            )
        outputs.append(most - prompt)
    if not generates:
        return inference
    longest = min(outputs)
    asked = options.max_tokens
    if asked is not None and 0 <= asked <= longest:
        return inference
    return msgspec.structs.replace(inference, options=msgspec.structs.replace(options, max_tokens=longest))
