"""Celery's transport for an address that names Sentinels: Redis's, whose connections lead to the primary. Imported, it is known as ``primary://``."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

from ollamamax.bus.connect import primary_options

TRANSPORT_ALIASES["primary"] = "ollamamax.bus.broker:Transport"


class PrimaryChannel(redis.Channel):
    """``address`` among the transport options says where the Sentinels are, and who the user is."""

    from_transport_options = (*redis.Channel.from_transport_options, "address")  # type: ignore[assignment]
    address: str

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        options = primary_options(self.address)
        # From which the class is made that an event loop is told of.
        self.connection_class = options.pop("connection_class")
        found: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        return found | options


class Transport(redis.Transport):
    Channel = PrimaryChannel
