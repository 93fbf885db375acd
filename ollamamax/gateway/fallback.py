"""Fallbacks: which model is asked next when one cannot serve a request, and for what reason."""

from __future__ import annotations

from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import Cause, Fallback, Listed
from ollamamax.gateway import catalog
from ollamamax.gateway.interruptions import EngineError
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

HEADER = b"x-ollamamax-fallback"
"""Says which model was left for what reason, in order."""
_NO_CAPACITY = frozenset({"overloaded", "unavailable"})
_NOT_THE_ENGINE = frozenset({"deadline_exceeded", "cancelled", "unsupported"})


def cause_of(error: errors.OllamaMaxError) -> Cause | None:
    """Which cause an error is; ``None`` for one that another model would not change."""
    if error.code == errors.ContextTooLong.code:
        return "context_too_long"
    if error.code in _NO_CAPACITY:
        return "no_capacity"
    if isinstance(error, EngineError) and error.status >= 500 and error.code not in _NOT_THE_ENGINE:
        return "engine_error"
    return None


class Substitutes:
    """The models that stand in for one, each offered once. ``left`` are its fallbacks, in order."""

    def __init__(
        self, directory: Directory, acting: Principal, name: str, listed: Listed, left: list[Fallback]
    ) -> None:
        self._directory = directory
        self._acting = acting
        self._left = left
        self._offered = {listed.alias_of or catalog.full_name(name)}

    def next(self, cause: Cause) -> tuple[str, Listed] | None:
        """The next that serves the cause, is there, and was not offered; those before it are not offered again."""
        while self._left:
            fallback = self._left.pop(0)
            if cause not in fallback.causes:
                continue
            try:
                listed = catalog.resolve(self._directory, self._acting, fallback.model)
            except errors.ModelNotFound:
                continue
            stands_for = listed.alias_of or fallback.model
            if stands_for not in self._offered:
                self._offered.add(stands_for)
                return fallback.model, listed
        return None
