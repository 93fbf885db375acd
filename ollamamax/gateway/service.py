"""What all endpoints share: the directory, the dispatcher, the limits."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.queue import Tell
from cluster.scheduling import load
from ollamamax.bus.directory import Directory
from ollamamax.contract import Inference
from ollamamax.contract.profile import Profile
from ollamamax.gateway import catalog, schemas
from ollamamax.gateway.execution import Call, Execution
from ollamamax.gateway.fields import Fields, T
from ollamamax.gateway.http import Receive, Scope, read_body
from ollamamax.gateway.openai.keeping import Keeping
from ollamamax.kernel import errors

ONCE_TOKENS = 64
"""Answers of at most so many tokens are had from the engine in one piece, where the client does not stream."""
ONCE_PATIENCE = 60.0
"""Seconds that a model's profile must give an engine until its first output, so that such an answer fits in."""


@dataclass(frozen=True)
class Service:
    """``max_body`` is in bytes, ``deadline`` in seconds. ``keeping`` keeps responses, where this process has somebody who does."""

    directory: Directory
    dispatcher: Dispatcher
    max_body: int
    deadline: float
    keeping: Keeping | None = None

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(scope, receive, self.max_body)

    async def parsed(self, fields: Fields[T], call: Call, scope: Scope, receive: Receive) -> T:
        """The body by the table of its route; what it has in vain is told. Raises what `Fields.parse` and `body` raise."""
        body = fields.parse(await self.body(scope, receive), call.ignored, strict=call.strict)
        if call.ending is not None:
            call.ending.model = getattr(body, "model", "")
        return body

    def execution(
        self,
        call: Call,
        model: str,
        inference: Inference,
        receive: Receive,
        *,
        deadline: float | None = None,
        tell: Tell | None = None,
        whole: bool = False,
    ) -> Execution:
        """``deadline`` is in seconds, instead of this service's own; ``tell`` is called while it waits; of a ``whole`` answer the
        client reads nothing before its end. Raises `ModelNotFound`, `Unsupported` for an image that would have to be fetched, and
        `InvalidRequest` for schemas beyond their bounds."""
        if call.ending is not None and not call.ending.model:
            call.ending.model = model
        _refuse_addresses(inference)
        schemas.check(inference)
        _tidy(inference)
        listed = catalog.resolve(self.directory, call.principal, model)
        if call.caller is not None:
            call.caller.targets.add(listed.model)
        load.check(listed.profile, inference.options.num_ctx)
        if whole:
            inference.delivery = "once" if _is_short(inference, listed.profile) else "whole"
        return Execution(self.dispatcher, call, model, listed, inference, deadline or self.deadline, receive, tell)


def _is_short(inference: Inference, profile: Profile) -> bool:
    """Whether its first output is not needed to tell an engine that works from one that hangs."""
    most = inference.options.max_tokens
    return (
        most is not None
        and 0 < most <= ONCE_TOKENS
        and not inference.tools
        and profile.first_byte_seconds >= ONCE_PATIENCE
    )


_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def _tidy(inference: Inference) -> None:
    """One form for what protocols say in several. Raises `InvalidRequest` for a level of thinking that nobody knows."""
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
