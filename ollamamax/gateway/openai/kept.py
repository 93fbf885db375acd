"""Kept: what one response goes on from, and that it is kept itself, where its caller and its tenant want that."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.gateway import catalog
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import ClientGone
from ollamamax.gateway.openai.keeping import Ended, Item, Keeping, Recalled
from ollamamax.gateway.openai.response_request import ResponseRequest, to_inference
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors
from ollamamax.kernel.errors import InvalidRequest, NotFound, OllamaMaxError

_NOWHERE = "this address keeps no responses: the web process does"
_NOT_WANTED = "your tenant does not have responses kept (its setting 'store_responses')"


class Kept:
    """``fields`` are those of the response that say what it goes on from, and whether it is kept."""

    def __init__(
        self, service: Service, call: Call, body: ResponseRequest, recalled: Recalled, *, is_stored: bool
    ) -> None:
        self._service = service
        self._call = call
        self._body = body
        self._recalled = recalled
        self._begun: Item | None = None
        self.is_stored = is_stored
        self.fields: Item = {
            "previous_response_id": body.previous_response_id,
            "conversation": {"id": _named(body.conversation)} if body.conversation else None,
            "store": is_stored,
            "background": bool(body.background),
        }

    @property
    def asked(self) -> ResponseRequest:
        """The body, with all that came before as its input."""
        if not self._recalled.items:
            return self._body
        own = self._body.input
        given = [{"type": "message", "role": "user", "content": own}] if isinstance(own, str) else own
        return msgspec.structs.replace(self._body, input=[*self._recalled.items, *given])

    @property
    def id(self) -> str:
        """Of the request under which it is kept, whichever model answers it."""
        return self._call.id

    async def begin(self, response: Item) -> None:
        """Before anything is asked of a node. Raises `Unavailable`: what is to be kept and cannot be is not begun."""
        if self.is_stored:
            await self._keeping.begin(self._call, self._recalled, response, self._body.input)
            self._begun = response

    async def queue(self, response: Item) -> None:
        """To be made in the background. Raises what its request would raise that can be known now."""
        service, call = self._service, self._call
        catalog.resolve(service.directory, call.principal, self._body.model)
        to_inference(self.asked, call.ignored)
        request = msgspec.to_builtins(self.asked)
        for name in ("previous_response_id", "conversation", "background", "stream"):
            del request[name]
        request["store"] = False
        await self._keeping.begin(call, self._recalled, response, self._body.input, request)

    async def end(self, response: Item) -> None:
        """With its answer. Raises `Unavailable` when that could not be kept."""
        if self._begun is not None:
            await self._keeping.end(self._call, _ended(response), response)
            self._begun = None

    def fail(self, error: BaseException) -> None:
        """It came to nothing; this is kept while the client is told."""
        if self._begun is None:
            return
        begun, self._begun = self._begun, None
        if isinstance(error, OllamaMaxError):
            told: Item = {"status": "failed", "error": {"code": error.code, "message": error.message}}
        elif isinstance(error, ClientGone):
            told = {"status": "cancelled"}
        else:
            told = {"status": "failed", "error": {"code": "server_error", "message": "The request was cut off."}}
        self._service.dispatcher.later(self._keeping.end(self._call, _ended(told), begun | told))

    @property
    def _keeping(self) -> Keeping:
        assert self._service.keeping is not None  # noqa: S101 - asked before anything is kept
        return self._service.keeping


async def kept(service: Service, call: Call, body: ResponseRequest) -> Kept:
    """Find what the response goes on from, and decide whether it is kept.

    Raises `InvalidRequest`, `NotFound` and `TooLarge`, naming the parameter, and `Unavailable`.
    """
    tenants_wish = call.tenant.store_responses
    may_store = tenants_wish and service.keeping is not None
    why_not = _NOT_WANTED if not tenants_wish else _NOWHERE
    wants = body.store if body.store is not None else may_store
    if body.store and not may_store:
        call.ignored.add(["store"])
    if body.background:
        if not wants or not may_store:
            reason = why_not if not may_store else "'store' is false"
            raise InvalidRequest(f"'background' needs a response that is kept, and {reason}.", param="background")
        if body.stream:
            raise errors.Unsupported(
                "A response in the background has no stream; ask for it until it has ended.", param="stream"
            )
    if body.conversation and not (wants and may_store):
        reason = why_not if not may_store else "'store' is false"
        raise InvalidRequest(f"'conversation' needs a response that is kept, and {reason}.", param="conversation")
    body = await _resolved(service, call, body, why_not)
    recalled = Recalled()
    if service.keeping is not None:
        recalled = await _recalled(service.keeping, call, body)
    elif body.previous_response_id:
        raise NotFound(
            f"The response '{body.previous_response_id[:80]}' is not known: {why_not}.", param="previous_response_id"
        )
    return Kept(service, call, body, recalled, is_stored=bool(wants and may_store))


async def _resolved(service: Service, call: Call, body: ResponseRequest, why_not: str) -> ResponseRequest:
    """The body with the items themselves in place of what refers to them. Raises `NotFound`."""
    if isinstance(body.input, str):
        return body
    names = [str(item.get("id")) for item in body.input if item.get("type") == "item_reference"]
    if not names:
        return body
    found = await service.keeping.referred(call, names) if service.keeping is not None else {}
    missing = next((name for name in names if name not in found), None)
    if missing is not None:
        stored = call.tenant.store_responses and service.keeping is not None
        why = "it was never kept, it was deleted, or its time is over" if stored else why_not
        raise NotFound(f"The item '{missing[:80]}' that 'input' refers to is not known: {why}.", param="input")
    items = [found[item["id"]] if item.get("type") == "item_reference" else item for item in body.input]
    return msgspec.structs.replace(body, input=items)


async def _recalled(keeping: Keeping, call: Call, body: ResponseRequest) -> Recalled:
    conversation = _named(body.conversation) if body.conversation else None
    try:
        return await keeping.recall(call, body.previous_response_id or None, conversation)
    except NotFound as error:
        if not call.tenant.store_responses and body.previous_response_id:
            raise NotFound(f"{error.message} Now {_NOT_WANTED}.", **error.fields) from None
        raise


def _named(conversation: Any) -> str:
    match conversation:
        case str() as name:
            return name
        case {"id": str() as name}:
            return name
    raise InvalidRequest("'conversation' is an id, or an object with an 'id'.", param="conversation")


def _ended(response: Item) -> Ended:
    status: Ended = response["status"]
    return status
