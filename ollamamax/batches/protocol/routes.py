"""The routes of files and batches, for the gateway: it finds the key and tells errors as for its own."""

from __future__ import annotations

import re

from ollamamax.batches.protocol import batches
from ollamamax.batches.protocol.files import Files
from ollamamax.gateway.routes import OPENAI, GatewayRoute

_ID = re.compile(r"^(/v1/(?:files|batches)/)[^/]+")


class Routes:
    """Called with a method and a path: the route, or the path's only other one, so that the method can be refused."""

    def __init__(self, files: Files) -> None:
        self.table = {
            "/v1/files": {
                "POST": GatewayRoute("POST", files.upload, OPENAI),
                "GET": GatewayRoute("GET", files.listed, OPENAI),
            },
            "/v1/files/{id}": {
                "GET": GatewayRoute("GET", files.one, OPENAI),
                "DELETE": GatewayRoute("DELETE", files.delete, OPENAI),
            },
            "/v1/files/{id}/content": {"GET": GatewayRoute("GET", files.content, OPENAI)},
            "/v1/batches": {
                "POST": GatewayRoute("POST", batches.create, OPENAI),
                "GET": GatewayRoute("GET", batches.listed, OPENAI),
            },
            "/v1/batches/{id}": {"GET": GatewayRoute("GET", batches.one, OPENAI)},
            "/v1/batches/{id}/cancel": {"POST": GatewayRoute("POST", batches.cancel, OPENAI)},
        }

    def __call__(self, method: str, path: str) -> GatewayRoute | None:
        methods = self.table.get(_ID.sub(r"\1{id}", path))
        if methods is None:
            return None
        return methods.get(method) or next(iter(methods.values()))
