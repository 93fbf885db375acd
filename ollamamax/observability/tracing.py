"""Sends spans to a collector by OTLP. OpenTelemetry is imported where tracing is on, and nowhere else.

Spans are made of what is known when a request has ended, so that nothing is done for a trace while it runs, and whether it is traced can be
decided by how it went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ollamamax import logs
from ollamamax.env import Environment
from ollamamax.observability.sampling import TraceSampling

SCOPE = "ollamamax"
_QUEUE = 8192
"""Spans that wait for the collector; what is more is dropped."""
_TIMEOUT = 5
"""Seconds that it may take to accept some."""
_log = logs.get(__name__)

SpanKind = Literal["server", "client", "internal"]
Value = str | int | float | bool


@dataclass(frozen=True)
class SpanFacts:
    """One span: ``id`` and ``parent`` are 16 hexadecimal digits, the parent empty for none; times in Unix seconds. ``links``: ids in the same
    trace. ``error``: why it failed. ``service`` names the program whose work it is, ``host`` the machine's id where that is known."""

    name: str
    id: str
    parent: str
    start: float
    end: float
    kind: SpanKind = "internal"
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    links: tuple[str, ...] = ()
    service: str = "ollamamax-gateway"
    host: str = ""


class Traces:
    """One process's way to its collector. Raises `ImportError` where OpenTelemetry is not installed."""

    def __init__(self, url: str, headers: dict[str, str], sampling: TraceSampling, version: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.sampling = sampling
        self._version = version
        self._resources: dict[tuple[str, str], Any] = {}
        self._way = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=url, headers=headers, timeout=_TIMEOUT),
            max_queue_size=_QUEUE,
            schedule_delay_millis=1000,
            max_export_batch_size=512,
        )

    def send(self, trace: str, spans: Sequence[SpanFacts]) -> None:
        """Queue the spans of one trace; they leave within about a second, by a thread."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
        from opentelemetry.trace import SpanKind as Kind

        number, flags = int(trace, 16), TraceFlags(TraceFlags.SAMPLED)
        kinds = {"server": Kind.SERVER, "client": Kind.CLIENT, "internal": Kind.INTERNAL}
        scope = InstrumentationScope(SCOPE, self._version)

        def context(span: str) -> SpanContext:
            return SpanContext(number, int(span, 16), is_remote=False, trace_flags=flags)

        for each in spans:
            self._way.on_end(
                ReadableSpan(
                    each.name,
                    context=context(each.id),
                    parent=context(each.parent) if each.parent else None,
                    resource=self._resource(each.service, each.host),
                    attributes=each.attributes,
                    links=[Link(context(link)) for link in each.links],
                    kind=kinds[each.kind],
                    status=Status(StatusCode.ERROR, each.error) if each.error else Status(StatusCode.UNSET),
                    start_time=int(each.start * 1e9),
                    end_time=int(max(each.start, each.end) * 1e9),
                    instrumentation_scope=scope,
                )
            )

    def _resource(self, service: str, host: str) -> Any:
        from opentelemetry.sdk.resources import Resource

        held = self._resources.get((service, host))
        if held is None:
            if len(self._resources) > 20_000:
                self._resources.clear()
            facts = {"service.name": service, "service.namespace": "ollamamax"}
            more = {"host.id": host} if host else {"service.version": self._version}
            held = self._resources[service, host] = Resource(facts | more)
        return held

    def stop(self) -> None:
        """Send what waits, for some seconds at most."""
        self._way.force_flush(_TIMEOUT * 1000)
        self._way.shutdown()  # type: ignore[no-untyped-call]


current: Traces | None = None
"""This process's; ``None`` where tracing is off."""


def start(settings: Environment, version: str) -> None:
    """Begin as OLLAMAMAX_TRACE_URL says. A program without OpenTelemetry logs that it traces nothing, and serves."""
    global current
    if not settings["OLLAMAMAX_TRACE_URL"]:
        return
    sampling = TraceSampling(
        settings["OLLAMAMAX_TRACE_SHARE"],
        settings["OLLAMAMAX_TRACE_SLOW_SECONDS"],
        settings["OLLAMAMAX_TRACE_TENANTS"] or {},
    )
    try:
        current = Traces(settings["OLLAMAMAX_TRACE_URL"], settings["OLLAMAMAX_TRACE_HEADERS"] or {}, sampling, version)
    except ImportError as error:
        _log.error("not_traced", error=f'{error}: pip install "ollamamax[tracing]"')


def stop() -> None:
    global current
    if current is not None:
        held, current = current, None
        held.stop()
