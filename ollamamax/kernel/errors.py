"""The one error base of OllamaMax; each protocol translates it once at its own edge."""

from __future__ import annotations

from typing import Any


class OllamaMaxError(Exception):
    """An error a caller may see.

    ``code`` is a stable identifier (snake case), ``status`` the HTTP status, ``message`` one sentence for
    a person, ``fields`` typed details (JSON values). ``retry_after`` is in seconds, where waiting helps.
    """

    code = "internal_error"
    status = 500

    def __init__(self, message: str, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.fields = fields


class InvalidRequest(OllamaMaxError):
    """The request cannot be understood or has a value that is not allowed; ``fields['param']`` names it."""

    code = "invalid_request"
    status = 400


class Unsupported(InvalidRequest):
    """A known feature that this server or the chosen engine cannot do; ``param`` names it."""

    code = "unsupported"


class ContextTooLong(InvalidRequest):
    """The request needs more context than the model was given; another model may have it."""

    code = "context_length_exceeded"


class Unauthenticated(OllamaMaxError):
    code = "unauthenticated"
    status = 401


class Forbidden(OllamaMaxError):
    code = "forbidden"
    status = 403


class ConfirmationNeeded(Forbidden):
    """Who calls may do this once they have shown anew that it is they; ``fields['ways']`` says how."""

    code = "confirmation_needed"


class NotFound(OllamaMaxError):
    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    code = "model_not_found"


class Conflict(OllamaMaxError):
    code = "conflict"
    status = 409


class PreconditionFailed(OllamaMaxError):
    """What was to be changed is not as the caller knew it."""

    code = "precondition_failed"
    status = 412


class TooLarge(OllamaMaxError):
    code = "body_too_large"
    status = 413


class RequestCancelled(OllamaMaxError):
    """Somebody who may cancelled the request while it waited or ran. With 499, which no client's library tries again."""

    code = "request_cancelled"
    status = 499


class Overloaded(OllamaMaxError):
    """Every place in the queue is taken; ``retry_after`` says when to try again."""

    code = "overloaded"
    status = 429


class EngineFailed(OllamaMaxError):
    """The engine refused or broke while it ran the request."""

    code = "engine_failed"
    status = 502


class EngineCrashed(EngineFailed):
    """The engine went away, before or while it ran the request."""

    code = "engine_crashed"


class NotObeyed(EngineFailed):
    """The engine works, and what came back is not what was asked for: another try, here or elsewhere, would not help."""

    code = "not_obeyed"


class Unavailable(OllamaMaxError):
    """Nothing that could serve this is reachable now."""

    code = "unavailable"
    status = 503


class DeadlineExceeded(OllamaMaxError):
    code = "deadline_exceeded"
    status = 504
