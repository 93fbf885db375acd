"""A collector of traces: a real listener, which decodes what comes by the classes of opentelemetry-proto."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Received:
    service: str
    host: str
    span: Span

    @property
    def attributes(self) -> dict[str, Any]:
        return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in self.span.attributes}


@dataclass
class Collector:
    url: str = ""
    received: list[Received] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def of(self, trace: str) -> list[Received]:
        return [each for each in list(self.received) if each.span.trace_id.hex() == trace]

    def tree(self, trace: str) -> str:
        """One line for each span, indented below the one above it, in the order of their beginnings."""
        spans = sorted(self.of(trace), key=lambda each: each.span.start_time_unix_nano)
        known = {each.span.span_id for each in spans}

        def below(parent: bytes | None, depth: int) -> Iterator[str]:
            for each in spans:
                above = each.span.parent_span_id if each.span.parent_span_id in known else None
                if above == parent:
                    yield f"{'  ' * depth}{each.service}: {each.span.name}"
                    yield from below(each.span.span_id, depth + 1)

        return "\n".join(below(None, 0))


@contextmanager
def collecting() -> Iterator[Collector]:
    made = Collector()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            told = ExportTraceServiceRequest.FromString(body)
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            for part in told.resource_spans:
                facts = {each.key: each.value.string_value for each in part.resource.attributes}
                for scope in part.scope_spans:
                    made.received += [
                        Received(facts["service.name"], facts.get("host.id", ""), span) for span in scope.spans
                    ]
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
