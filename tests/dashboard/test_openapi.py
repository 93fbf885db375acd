"""The API document that the console's types are generated from."""

from __future__ import annotations

import json
from typing import Any, cast

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer


def test_the_consoles_api_document_is_the_one_that_is_served_now() -> None:
    generator: Any = cast(Any, SchemaGenerator)()  # has no types
    served = OpenApiJsonRenderer().render(generator.get_schema(request=None, public=True))
    kept = (settings.BASE_DIR / "frontend" / "openapi.json").read_bytes()
    assert json.loads(kept) == json.loads(served), (
        "run: python manage.py spectacular --format openapi-json > frontend/openapi.json && npm --prefix frontend run types"
    )
