"""What a model calls: tool calls come from the engines in OpenAI's form, with their arguments as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ollamamax.contract import Delta
from ollamamax.kernel import errors


@dataclass(frozen=True, slots=True)
class Piece:
    """What a client gets of the call at ``place``. ``call`` is set in its first piece, without its arguments; ``whole``: it is the last."""

    place: int
    arguments: str
    call: dict[str, Any] | None = None
    whole: bool = False


class Calls:
    """What one client has of an answer's tool calls: parts as they are written, and at last what is missing of each.

    ``one_by_one``: a call is whole before the next begins, for protocols whose calls have no number: then only the first is shown
    as it is written, because others may be written beside it.
    """

    def __init__(self, *, one_by_one: bool = False) -> None:
        self._one_by_one = one_by_one
        self._told: dict[int, str] = {}
        self._whole = 0
        self._later: list[Delta] = []

    @property
    def open(self) -> bool:
        """A call has begun and is not whole."""
        return self._whole in self._told

    def hold(self, delta: Delta) -> Delta:
        """Without its text, while a call is open: that comes after the call (`released`)."""
        if not self.open or not (delta.text or delta.thinking):
            return delta
        self._later.append(Delta(delta.text, delta.thinking))
        return Delta(tool_calls=delta.tool_calls, call_parts=delta.call_parts)

    def released(self) -> list[Delta]:
        if self.open or not self._later:
            return []
        later, self._later = self._later, []
        return later

    def pieces(self, delta: Delta) -> list[Piece]:
        found = []
        for part in delta.call_parts:
            if part.place < self._whole or (self._one_by_one and part.place > self._whole):
                continue
            if part.place in self._told:
                self._told[part.place] += part.arguments
                found.append(Piece(part.place, part.arguments))
            elif part.name:
                self._told[part.place] = part.arguments
                begun: dict[str, Any] = {"id": part.id, "type": "function", "function": {"name": part.name}}
                found.append(Piece(part.place, part.arguments, begun))
        for call in delta.tool_calls:
            place, self._whole = self._whole, self._whole + 1
            told = self._told.get(place)
            written = call["function"].get("arguments") or "{}"
            if told is None:
                found.append(Piece(place, written, call, whole=True))
            elif written.startswith(told):
                found.append(Piece(place, written[len(told) :], whole=True))
            else:
                raise errors.EngineFailed("The engine took back what it had written of a tool call.")
        return found


def arguments(call: dict[str, Any]) -> dict[str, Any]:
    """The arguments as an object. Raises `EngineFailed` when the model wrote what is none."""
    function = call["function"]
    given = function.get("arguments") or "{}"
    try:
        found = msgspec.json.decode(given) if isinstance(given, str) else given
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise errors.EngineFailed(
            f"The model called the tool '{function['name']}' with arguments that are no JSON object."
        )
    return found
