"""What the management API does alike at every address: conditional changes, creations that are repeated, deprecation.

Applied to the methods of a view by `ollamamax.identity.api.base.View`, by what the view declares.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions import idempotency
from ollamamax.identity.api.described import MOST_IDEMPOTENCY_KEY, MOST_IF_MATCH
from ollamamax.identity.changes import one_at_a_time
from ollamamax.kernel.errors import InvalidRequest, PreconditionFailed

if TYPE_CHECKING:
    from ollamamax.identity.api.base import View

Method = Callable[..., Response]
IDEMPOTENCY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
IF_MATCH = "If-Match"
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MOST_IDEMPOTENCY_KEY}}}")


@dataclass(frozen=True)
class Deprecated:
    """``since`` and ``sunset``: when it became and when it stops; ``link`` says what to use instead (RFC 9745, RFC 8594)."""

    since: datetime.datetime
    sunset: datetime.datetime
    link: str


DEPRECATED: dict[tuple[str, str], Deprecated] = {}
"""By method and route (as in `ollamamax.urls`), such as ``("GET", "api/v1/old")``. The schema says so too."""


def tell_deprecation(response: Response, found: Deprecated) -> None:
    response["Deprecation"] = f"@{int(found.since.timestamp())}"
    response["Sunset"] = format_datetime(found.sunset.astimezone(datetime.UTC), usegmt=True)
    response["Link"] = f'<{found.link}>; rel="deprecation"'


def etag(data: Mapping[str, Any], volatile: Iterable[str]) -> str:
    """Of a representation, without the fields that change by themselves."""
    kept = {name: value for name, value in data.items() if name not in volatile}
    text = json.dumps(json.loads(JSONRenderer().render(kept)), sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def conditional(method: Method) -> Method:
    """A change of one thing: one at a time, and only while it is as ``If-Match`` says. Raises `PreconditionFailed`."""

    @functools.wraps(method)
    def change(view: View, request: Request, *args: Any, **kwargs: Any) -> Response:
        place = ":".join([type(view).__name__, view.acting.tenant or "", *(str(each) for each in kwargs.values())])
        with one_at_a_time(f"change:{place}"):
            wanted = _wanted(request)
            if wanted is not None:
                reader: Any = view  # whoever is conditional has a method `get`
                now = etag(reader.get(request, *args, **kwargs).data, view.volatile)
                if now not in wanted:
                    raise PreconditionFailed("It was changed since. Read it again, and decide anew.", etag=now)
            return method(view, request, *args, **kwargs)

    return change


def _wanted(request: Request) -> list[str] | None:
    text = getattr(request, "omx_if_match", None) or request.headers.get(IF_MATCH)
    if text is None or text.strip() == "*":
        return None
    if len(text) > MOST_IF_MATCH:
        raise InvalidRequest(f"If-Match has at most {MOST_IF_MATCH} characters.", header=IF_MATCH)
    return [each.strip() for each in text.split(",")]


def idempotent(method: Method) -> Method:
    """A creation: its repetition under the same ``Idempotency-Key`` gets the same answer."""

    @functools.wraps(method)
    def create(view: View, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(IDEMPOTENCY)
        if key is None or view.acting.tenant is None:
            return method(view, request, *args, **kwargs)
        if _KEY.fullmatch(key) is None:
            raise InvalidRequest(
                f"An Idempotency-Key has 1 to {MOST_IDEMPOTENCY_KEY} visible characters of ASCII.", header=IDEMPOTENCY
            )
        body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
        fingerprint = hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()
        claimed = idempotency.claim(
            tenant=uuid.UUID(view.acting.tenant),
            caller=f"{view.acting.kind}:{view.acting.id}",
            key=key,
            fingerprint=fingerprint,
        )
        if isinstance(claimed, idempotency.KeptCreation):
            headers = {REPLAYED: "true", "Cache-Control": "no-store"}
            return Response(json.loads(claimed.body), status=claimed.status, headers=headers)
        try:
            response = method(view, request, *args, **kwargs)
        except Exception:
            idempotency.forget(claimed)
            raise
        idempotency.keep(claimed, response.status_code, JSONRenderer().render(response.data))
        return response

    return create
