"""Reads the states of many nodes, second after second, without decoding again what a node says again.

Most of a state is its list of models, and most of these do not change from one second to the next.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ollamamax.contract import bounds
from ollamamax.contract.from_node import Nonsense, read_checked
from ollamamax.contract.node_state import ModelState, NodeState


class _OuterState(NodeState):
    """A state of which the models are not read yet."""

    models: msgspec.Raw  # type: ignore[assignment]


_outer_state = msgspec.json.Decoder(_OuterState).decode
_model = msgspec.json.Decoder(ModelState).decode
_model_list = msgspec.json.Decoder(Annotated[list[ModelState], Meta(max_length=bounds.MOST_MODELS)]).decode
_written_models = msgspec.json.Decoder(Annotated[list[msgspec.Raw], Meta(max_length=bounds.MOST_MODELS)]).decode


def _models(written: bytes, held: tuple[bytes, list[ModelState]] | None) -> list[ModelState]:
    if held is None:
        whole: list[ModelState] = _model_list(written)
        return whole
    models = held[1]
    before = dict(zip(map(bytes, _written_models(held[0])), models, strict=True))
    return [before.get(bytes(each)) or _model(each) for each in _written_models(written)]


class NodeStates:
    """Reads what nodes say one state after another: of each only what is not, byte for byte, what the node said before.

    A model with the same bytes is the same object as before, and while all are, so is the list: by its identity others may know that
    what they made of it still holds. What is compared was checked when it was decoded, so a node is trusted no further than by
    `decode_node_state`.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[bytes, list[ModelState]]] = {}
        """The models of each node, as it wrote them and as they were read."""

    def decode(self, data: bytes, node: str) -> NodeState:
        """The same as `decode_node_state`. Raises `Nonsense`."""
        outer = read_checked(data, bounds.MOST_STATE_BYTES, _outer_state)
        if outer.node != node:
            raise Nonsense("the state is of another node")
        written, held = bytes(outer.models), self._held.get(node)
        if held is None or held[0] != written:
            models = read_checked(written, bounds.MOST_STATE_BYTES, lambda now: _models(now, held))
            self._held[node] = held = written, models
        outer.models = held[1]  # type: ignore[assignment] # from here on it is a state as any other
        return NodeState(*msgspec.structs.astuple(outer))

    def forget(self, node: str) -> None:
        self._held.pop(node, None)
