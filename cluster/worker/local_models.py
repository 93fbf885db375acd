"""The versions whose bytes lie on this host, as the engines and the node's state see them. In memory only.

Who puts bytes on the disk and verifies them says so here; this module does not read the disk.
"""

from __future__ import annotations

from cluster.engines.base import LocalModel
from ollamamax import contract
from ollamamax.contract.peers import PeerPlace


class DownloadedModels:
    def __init__(self) -> None:
        self._ready: dict[str, LocalModel] = {}
        self._states: dict[str, contract.ModelState] = {}
        self.peer_place: PeerPlace | None = None
        """Where other nodes have bytes of these; told in the node's state."""

    def find(self, version: str) -> LocalModel | None:
        """The version, if its bytes were verified."""
        return self._ready.get(version)

    def put(self, model: LocalModel) -> None:
        """The version's bytes are here and verified."""
        self._ready[model.version] = model
        self._states[model.version] = contract.ModelState(
            model.version,
            model.name,
            "ready",
            "llamacpp",
            size=model.size,
            bytes_done=model.size,
            context_length=model.config.get("context_length"),
        )

    def note(self, state: contract.ModelState) -> None:
        """Say how far a version is that is not ready."""
        self._ready.pop(state.version, None)
        self._states[state.version] = state

    def drop(self, version: str) -> None:
        self._ready.pop(version, None)
        self._states.pop(version, None)

    def states(self) -> list[contract.ModelState]:
        return list(self._states.values())
