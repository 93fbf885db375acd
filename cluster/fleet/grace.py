"""The grace of a node: for a while requests wait for one that is silent or whose engine is not well, because it may be back."""

from __future__ import annotations

from ollamamax.contract import NodeState

SECONDS = 30.0
"""For so long a node that says nothing, or whose engine is not well, is waited for; and Redis, when it does not answer."""


class Grace:
    """Times are of one clock that goes forward, in seconds."""

    def __init__(self) -> None:
        self._gone: set[str] = set()
        self._troubled: dict[str, tuple[float, frozenset[str]]] = {}

    def heard(self, state: NodeState, before: NodeState | None, now: float) -> None:
        """The node said how it is; ``before``: what it had said last. An engine in trouble may not tell its models any more."""
        node = state.node
        self._gone.discard(node)
        if all(engine.healthy for engine in state.engines):
            self._troubled.pop(node, None)
            return
        since, versions = self._troubled.get(node, (now, frozenset[str]()))
        said = [*state.models, *(before.models if before else ())]
        self._troubled[node] = since, versions | {model.version for model in said}

    def lost(self, node: str) -> None:
        """It is gone for certain: its connections closed."""
        self._gone.add(node)

    def forget(self, node: str) -> None:
        """The node was taken out."""
        self._gone.discard(node)
        self._troubled.pop(node, None)

    def may_return(self, node: str, seen: float, now: float) -> bool:
        """Whether a node that was heard last at ``seen`` is waited for."""
        return node not in self._gone and now - seen < SECONDS

    def troubled(self, version: str, now: float) -> list[str]:
        """The nodes whose engine had the version and has not been well for a moment."""
        return [node for node, (since, had) in self._troubled.items() if version in had and now - since < SECONDS]
