"""A stream whose node died goes on elsewhere: the next node is asked to go on from what was already said. Pure."""

from __future__ import annotations

import msgspec

from cluster.dispatch.request import Request
from ollamamax.contract import Delta, Failure, Final, Inference, Options

CONTINUED_AFTER = frozenset(
    {"node_lost", "node_restarted", "engine_crashed", "engine_failed", "engine_hung", "unavailable", "cancelled"}
)
"""Codes of failures after which another node may go on."""


def may_continue(request: Request) -> bool:
    """Whether the model's profile allows it, and the request is of a kind that can be taken up in the middle.

    Text can; a tool call, an answer that must follow a schema, probabilities and thoughts cannot.
    """
    asked = request.inference
    return (
        request.asked.profile.continue_streams
        and asked.kind in {"chat", "completion"}
        and not (asked.tools or asked.format or asked.logprobs or asked.suffix or asked.think or asked.context)
        and bool(asked.messages or asked.prompt)
    )


def note(request: Request, delta: Delta) -> None:
    """Remember what the client has; thoughts or tool calls end the possibility to go on."""
    if request.said is not None:
        if delta.thinking or delta.tool_calls or delta.call_parts:
            request.said = None
        else:
            request.said.append(delta.text)


def continued(request: Request) -> Inference | Final:
    """What to ask the next node for; or the end, when all the tokens that the client wants were sent."""
    asked = request.asked.inference
    text = "".join(request.said or ())
    options: Options = asked.options
    if options.max_tokens is not None and options.max_tokens >= 0:
        left = options.max_tokens - request.completion_tokens
        if left <= 0:
            return Final("length", request.prompt_tokens, request.completion_tokens)
        options = msgspec.structs.replace(options, max_tokens=left)
    if asked.kind == "completion":
        asked = msgspec.structs.replace(asked, prompt=asked.prompt + text, options=options)
    else:
        asked = msgspec.structs.replace(asked, options=options)
    return msgspec.structs.replace(asked, continued=text, continued_tokens=request.completion_tokens)


def whole(request: Request, event: Final) -> Final:
    """The end of the last part as the end of all parts. Engines leave what was continued out of the prompt's tokens."""
    return msgspec.structs.replace(
        event, completion_tokens=request.completion_tokens_before + event.completion_tokens, continued=request.continued
    )


def whole_failure(request: Request, event: Failure) -> Failure:
    return msgspec.structs.replace(event, completion_tokens=request.completion_tokens_before + event.completion_tokens)
