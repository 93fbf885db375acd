"""Tool calls, put together from the parts in which servers stream them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed
from ollamamax.kernel.ids import new_id


class CallParts:
    """A part belongs to the last call of its index, unless it begins another: it has another id, or another name after arguments."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._of_index: dict[Any, dict[str, Any]] = {}
        self._told: dict[int, int] = {}
        """Place of a call -> how many characters of its arguments were told."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, part: dict[str, Any]) -> None:
        function = part.get("function") or {}
        id_, name, arguments = part.get("id") or "", function.get("name") or "", function.get("arguments")
        index = part.get("index")
        call = self._of_index.get(index)
        if call is None or _begins(call, id_, name):
            call = {"id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
            self._calls.append(call)
            self._of_index[index] = call
        else:
            call["id"] = call["id"] or id_
            # Some repeat the name in each part.
            call["function"]["name"] = call["function"]["name"] or name
        if arguments:
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            call["function"]["arguments"] += text

    def written(self) -> list[contract.CallPart]:
        """What was written since the last time that this was asked. Of a call without an id or a name nothing can be told yet."""
        found = []
        for place, call in enumerate(self._calls):
            arguments, name, told = call["function"]["arguments"], call["function"]["name"], self._told.get(place)
            if told is None and call["id"] and name:
                found.append(contract.CallPart(place, arguments, call["id"], name))
            elif told is not None and len(arguments) > told:
                found.append(contract.CallPart(place, arguments[told:]))
            else:
                continue
            self._told[place] = len(arguments)
        return found

    def whole(self) -> list[dict[str, Any]]:
        """The calls in the order in which they began, each with an id. Raises `EngineFailed` for one without a name."""
        for call in self._calls:
            if not call["function"]["name"]:
                raise EngineFailed("The engine sent a tool call without a name.")
            call["id"] = call["id"] or f"call_{new_id()}"
        return self._calls


def _begins(call: dict[str, Any], id_: str, name: str) -> bool:
    if id_ and call["id"]:
        # Some give each part a new id; only the first part of a call names its tool.
        return id_ != call["id"] and bool(name)
    return bool(name and call["function"]["arguments"])
