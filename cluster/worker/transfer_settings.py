"""What the owner of a host allows its transfers of models: how fast, and whether other nodes may have bytes of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """``bytes_per_second``: of all that it fetches together, and likewise of all that it gives to others; ``None`` is no bound.

    ``address`` and ``port`` are where other nodes of its region reach it; without them it gives nothing, and takes from the control plane alone.
    """

    bytes_per_second: int | None = None
    address: str = ""
    port: int = 0

    @property
    def listens(self) -> bool:
        return bool(self.address and self.port)
