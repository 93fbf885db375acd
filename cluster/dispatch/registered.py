"""What the control plane says of a node, to the data plane."""

from __future__ import annotations

import msgspec


class Registered(msgspec.Struct):
    """Directory table ``nodes``; a node's own word on this is not asked."""

    tenant: str
    name: str
    schedulable: bool = True
    shared: bool = False
    """Whether it runs requests of every tenant, for models that it has."""
    region: str = ""
    labels: dict[str, str] = {}
    hourly_cost: float | None = None
    """What an hour of it costs, in whatever currency the operator counts; ``None`` when nobody said."""
