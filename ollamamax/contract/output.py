"""What comes of a ticket, from a node to a gateway: numbered events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ollamamax.contract.bounds import Count, Few, Milliseconds, Seconds, Status, Text, Time, Token, Tokens

FinishReason = Literal["stop", "length", "tool_calls", "load", "unload"]


class Started(msgspec.Struct, tag="s", array_like=True, omit_defaults=True):
    """The node began to run the ticket; always the first event. ``loaded``: the model was in memory by then, with
    ``context`` tokens of it, as far as the engine tells. ``keep_alive_ignored``: the node left the ticket's out."""

    started_at: Time
    loaded: bool = True
    context: Count | None = None
    keep_alive_ignored: bool = False
    ago: Seconds = 0.0
    """Seconds before this was sent. ``started_at`` is by the node's clock, which nobody else should trust."""


class CallPart(msgspec.Struct, array_like=True, omit_defaults=True):
    """More of the arguments of a tool call that is being written: the one at ``place`` among the answer's calls. Its first part
    has its ``id`` and ``name``."""

    place: Few
    arguments: str = ""
    id: Annotated[str, Meta(max_length=400)] = ""
    name: Annotated[str, Meta(max_length=400)] = ""


class Delta(msgspec.Struct, tag="d", array_like=True, omit_defaults=True):
    """Output since the last delta. ``tool_calls`` are complete OpenAI tool calls, in their order; ``tokens`` counts generated ones.
    ``call_parts`` are of calls as they are written, for who shows them at once: each comes complete in the end, all the same.

    ``logprobs`` has one entry for each token: ``token``, ``logprob``, ``bytes``, ``top_logprobs`` (the same again).
    """

    text: str = ""
    thinking: str = ""
    tokens: Tokens = 0
    tool_calls: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []
    call_parts: list[CallPart] = []


def joined(deltas: list[Delta]) -> Delta:
    """The output of all, as one."""
    if len(deltas) == 1:
        return deltas[0]
    return Delta(
        "".join([each.text for each in deltas]),
        "".join([each.thinking for each in deltas]),
        sum([each.tokens for each in deltas]),
        [call for each in deltas for call in each.tool_calls],
        [entry for each in deltas for entry in each.logprobs],
        [part for each in deltas for part in each.call_parts],
    )


class Final(msgspec.Struct, tag="f", array_like=True, omit_defaults=True):
    """The end of a request, with the engine's own counts and times (milliseconds)."""

    finish_reason: FinishReason = "stop"
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cached_tokens: Tokens = 0
    load_ms: Milliseconds = 0.0
    prompt_ms: Milliseconds = 0.0
    eval_ms: Milliseconds = 0.0
    total_ms: Milliseconds = 0.0
    embeddings: list[list[float]] = []
    info: dict[str, Any] = {}
    """For ``show``: ``template``, ``license``, ``parameters``, ``details``, ``model_info``, ``capabilities``, as far as known."""
    counted: Tokens = 0
    """For ``count``: the tokens. None of them was used."""
    continued: Tokens = 0
    """How many times another node went on with the answer."""
    scores: list[float] = []
    """For ``rerank``: how relevant each document is, in the order they came; the scale is the model's own."""
    keep_alive_ignored: bool = False
    """As in `Started`: all that is heard of it when another node went on with the answer."""
    estimated: bool = False
    """Whether a count is not the engine's own: of an answer the parts that came, of a prompt about four bytes each."""
    context: list[int] = []
    """The whole conversation in the model's own tokens, where `Inference.with_context` asked for it and the engine can."""
    cache_told: bool = False
    """Whether the engine says how much of the prompt it had kept; else 0 `cached_tokens` are none that anybody counted."""

    @property
    def cached(self) -> int | None:
        """Of the prompt's tokens those that the engine had kept, never more than there are; ``None`` where it does not say."""
        if not self.cached_tokens and not self.cache_told:
            return None
        return min(self.cached_tokens, self.prompt_tokens)


class Failure(msgspec.Struct, tag="e", array_like=True, omit_defaults=True):
    """The request failed on the node; ``code`` and ``status`` as in `ollamamax.kernel.errors`."""

    code: Token
    message: Text
    status: Status = 502
    param: Annotated[str, Meta(max_length=200)] | None = None
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    """What the engine had counted by then, also when the request was cancelled."""


Event = Started | Delta | Final | Failure


LOST = 1 << 31
"""`Frame.seq` of the end of a ticket that a node's former process held: a gap to every reader, whose ``resend`` is
answered with a `Failure` numbered as asked. A node answers so for every ticket it does not know."""


class Frame(msgspec.Struct, array_like=True):
    """Events of one ticket; ``seq`` numbers the first of them, counting from 0, so a gap is seen."""

    ticket: Annotated[str, Meta(max_length=64)]
    seq: Count
    events: list[Event]


encode_frames = msgspec.msgpack.Encoder().encode
