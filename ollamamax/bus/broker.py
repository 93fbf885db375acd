"""Redis as Celery takes it: by its own transport, or, where an address names Sentinels, by one whose connections lead to the primary."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kombu.transport import TRANSPORT_ALIASES, redis

from ollamamax.bus import sentinels
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


def broker_url(url: str) -> str:
    """A Redis address as Celery's transport takes it, with `broker_options` beside it.

    Left alone, it does not check the certificate of a ``rediss://`` address, and does not know ``unix://``. One that names Sentinels
    leads to the transport of this module.
    """
    if sentinels.named(url):
        return "primary://"
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "rediss":
        return urlunsplit(parts._replace(query=urlencode({"ssl_cert_reqs": "required"} | query)))
    if parts.scheme == "unix":
        database = query.pop("db", "0")
        return urlunsplit(parts._replace(scheme="redis+socket", query=urlencode(query | {"virtual_host": database})))
    return url


def broker_options(url: str) -> dict[str, str]:
    """Celery's transport options for this address."""
    return {"address": url} if sentinels.named(url) else {}
