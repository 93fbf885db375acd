"""How the schema tells of what views declare: filters, orderings, conditions, idempotency, deprecation. Imports no view: DRF reads
its defaults while its own are imported."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

MOST_IDEMPOTENCY_KEY = 255
MOST_IF_MATCH = 1000
"""Characters: some twenty tags."""


class DescribedSchema(AutoSchema):
    def get_override_parameters(self) -> list[Any]:
        view: Any = self.view
        found: list[Any] = []
        if self.method == "GET" and getattr(view, "lists", False):
            if view.filters is not None:
                found.append(view.filters)
            if view.orderings:
                choices = [sign + name for name in view.orderings for sign in ("", "-")]
                found.append(
                    OpenApiParameter(
                        "ordering", str, enum=choices, description="By what; with - from the highest down."
                    )
                )
        if self.method == "POST" and getattr(view, "creates", False):
            text = "A repetition under the same key, within a day, gets the same answer and creates nothing."
            found.append(_header("Idempotency-Key", MOST_IDEMPOTENCY_KEY, text))
        if self.method in {"PUT", "PATCH", "DELETE"} and getattr(view, "etagged", False):
            text = "The ETag that it was read with: when it was changed since, the answer is 412."
            found.append(_header("If-Match", MOST_IF_MATCH, text))
        return found

    def is_deprecated(self) -> bool:
        from ollamamax.identity.api.rules import DEPRECATED

        return (self.method, self.path.lstrip("/")) in {
            (method, route.replace("<uuid:", "{").replace("<str:", "{").replace(">", "}"))
            for method, route in DEPRECATED
        }


def _header(name: str, longest: int, description: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, {"type": "string", "maxLength": longest}, OpenApiParameter.HEADER, description=description
    )
