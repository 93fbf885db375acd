"""The page of a process's metrics, in the format that was asked for."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from ollamamax.observability.instruments import OfProcess, gauge
from ollamamax.observability.table import ProcessName

_END = b"# EOF\n"
_BUILD = gauge("ollamamax_build_info")

Written = Callable[[bool], str]
"""Writes the series of whole metrics as text; told whether in OpenMetrics' form."""
_written: list[Written] = []


def write_at_scrape(write: Written) -> Callable[[], None]:
    """Have the text of ``write`` put below the rest at each scrape. Returns what takes it back."""
    _written.append(write)
    return lambda: _written.remove(write)


@dataclass
class Page:
    """Of one process; ``token`` is what who asks must have, where it is not empty."""

    process: ProcessName
    version: str
    token: str = ""
    genai: bool = False

    def __post_init__(self) -> None:
        _BUILD.labels(self.process, self.version).set(1)
        own = CollectorRegistry()
        self._collector = OfProcess(
            self.process, [ProcessCollector(registry=None), GCCollector(registry=own)], genai=self.genai
        )

    def takes(self, authorization: str | None) -> bool:
        """Whether who says this may read it."""
        if not self.token:
            return True
        return hmac.compare_digest((authorization or "").encode(), f"Bearer {self.token}".encode())

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """The page and its content type."""
        encode, content_type = choose_encoder(accept or "")
        page = encode(self._collector)
        openmetrics = content_type.startswith("application/openmetrics-text")
        more = "".join(write(openmetrics) for write in list(_written)).encode()
        return (page.removesuffix(_END) + more + _END if openmetrics else page + more), content_type
