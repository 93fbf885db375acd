"""Says what of the management API that the last release had is no more, or takes less or gives less. Ends with 1 on any finding.

Compares two OpenAPI documents: `.ci/api_breaks.py [BEFORE [NOW]]`; without arguments, that of the last release with the console's.
What callers send must still be taken: no field of a request goes, becomes needed, or takes fewer values. What they read must still be
there: no field of an answer goes, changes its type, or may suddenly be null or missing. A bound that is stated for the first time breaks
nobody: it says what was so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RELEASES = Path(__file__).resolve().parent / "releases"
METHODS = ("get", "put", "post", "patch", "delete")
ACCEPTED = {
    **{
        f"{method} /api/v1/sso/providers{one} answers {status}: {where}kind takes other values": "more kinds come beside OpenID Connect"
        for method, one, status, where in (
            ("GET", "", 200, "results.[]."),
            ("POST", "", 201, ""),
            ("GET", "/{provider_id}", 200, ""),
            ("PATCH", "/{provider_id}", 200, ""),
        )
    },
    **{
        f"{operation} takes other values": "bundles are a further way by which models come in: nobody who brings none in meets it"
        for operation in (
            "GET /api/v1/jobs answers 200: results.[].kind",
            "GET /api/v1/jobs/{job_id} answers 200: kind",
            "POST /api/v1/jobs/{job_id}/retry answers 202: kind",
            "DELETE /api/v1/models/{channel_id} answers 202: kind",
            "POST /api/v1/models/create answers 202: kind",
            "POST /api/v1/models/pull answers 202: kind",
            "GET /api/v1/models/{channel_id}/versions answers 200: results.[].origin",
            "GET /api/v1/versions/{release_id} answers 200: origin",
            "PATCH /api/v1/versions/{release_id} answers 200: origin",
        )
    },
    "GET /api/v1/session answers 200: tenant.role takes other values": "roles are rows: their slugs are not known beforehand",
    "GET /api/v1/session answers 200: tenants.[].role takes other values": "as above",
    "POST /api/v1/session answers 200: tenant.role takes other values": "as above",
    "POST /api/v1/session answers 200: tenants.[].role takes other values": "as above",
    "GET /api/v1/me answers 200: permissions.[] takes other values": "permissions are added: callers ask whether one is among them",
    "GET /api/v1/session answers 200: permissions.[] takes other values": "as above",
    "POST /api/v1/session answers 200: permissions.[] takes other values": "as above",
    "PUT /api/v1/session/tenant answers 200: permissions.[] takes other values": "as above",
    "POST /api/v1/invitations/accept answers 200: permissions.[] takes other values": "as above",
}
"""Breaks that were decided on, each with its reason. They are taken out with the next release."""


def breaks(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One sentence for each; the documents are not changed."""
    found: list[str] = []
    for path, methods in before["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            name = f"{method.upper()} {path}"
            after = now["paths"].get(path, {}).get(method)
            if after is None:
                found.append(f"{name} is gone")
                continue
            found += _Operation(name, before, now).compare(methods[method], after)
    return found


class _Operation:
    def __init__(self, name: str, before: dict[str, Any], now: dict[str, Any]) -> None:
        self._name = name
        self._before = before
        self._now = now

    def compare(self, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
        return [*self._parameters(before, now), *self._body(before, now), *self._answers(before, now)]

    def _parameters(self, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
        held = {(each["in"], each["name"]): each for each in before.get("parameters", ())}
        after = {(each["in"], each["name"]): each for each in now.get("parameters", ())}
        for (place, name), parameter in held.items():
            if (place, name) not in after:
                yield f"{self._name}: the {place} parameter {name} is gone"
            else:
                inside = f"{self._name}: {name}"
                yield from self._taken(inside, parameter["schema"], after[place, name]["schema"])
        for (place, name), parameter in after.items():
            was = held.get((place, name), {}).get("required", False)
            if parameter.get("required", False) and not was:
                yield f"{self._name}: the {place} parameter {name} is needed now"

    def _body(self, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
        held, after = _schema(before.get("requestBody", {})), _schema(now.get("requestBody", {}))
        if held is None:
            if now.get("requestBody", {}).get("required"):
                yield f"{self._name}: a body is needed now"
        elif after is None:
            yield f"{self._name}: no body is taken any more"
        else:
            yield from self._taken(f"{self._name} takes:", held, after)

    def _answers(self, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
        for status, answer in before.get("responses", {}).items():
            if not status.startswith("2"):
                continue
            if status not in now.get("responses", {}):
                yield f"{self._name}: the answer {status} is gone"
                continue
            held, after = _schema(answer), _schema(now["responses"][status])
            if held is not None and after is None:
                yield f"{self._name} answers {status}: nothing any more"
            elif held is not None and after is not None:
                yield from self._given(f"{self._name} answers {status}:", held, after)

    def _taken(self, where: str, before: Any, now: Any, depth: int = 0) -> Iterator[str]:
        held, after = self._resolved(before, now)
        yield from _type(where, held, after)
        values, values_now = _values(held), _values(after)
        if values_now is not None and (values is None or not values <= values_now):
            yield f"{where} takes fewer values"
        for bound, tighter in (
            ("maximum", min),
            ("maxLength", min),
            ("maxItems", min),
            ("minimum", max),
            ("minLength", max),
        ):
            if bound in after and bound in held and tighter(held[bound], after[bound]) != held[bound]:
                yield f"{where} has a tighter {bound}"
        if held.get("nullable") and not after.get("nullable"):
            yield f"{where} may not be null any more"
        inside, inside_now = held.get("properties", {}), after.get("properties", {})
        for name, schema in inside.items():
            if name not in inside_now:
                yield f"{where} {name} is gone"
            elif depth < 8:
                yield from self._taken(_joined(where, name), schema, inside_now[name], depth + 1)
        for name in sorted(set(after.get("required", ())) - set(held.get("required", ()))):
            if not inside_now.get(name, {}).get("readOnly"):
                yield f"{where} {name} is needed now"
        if "items" in held and "items" in after and depth < 8:
            yield from self._taken(_joined(where, "[]"), held["items"], after["items"], depth + 1)

    def _given(self, where: str, before: Any, now: Any, depth: int = 0) -> Iterator[str]:
        held, after = self._resolved(before, now)
        yield from _type(where, held, after)
        values, values_now = _values(held), _values(after)
        if values is not None and (values_now is None or not values_now <= values):
            yield f"{where} takes other values"
        if after.get("nullable") and not held.get("nullable"):
            yield f"{where} may be null now"
        inside, inside_now = held.get("properties", {}), after.get("properties", {})
        for name, schema in inside.items():
            if name not in inside_now:
                yield f"{where} {name} is gone"
                continue
            if name in held.get("required", ()) and name not in after.get("required", ()):
                yield f"{where} {name} may be missing now"
            if depth < 8:
                yield from self._given(_joined(where, name), schema, inside_now[name], depth + 1)
        if "items" in held and "items" in after and depth < 8:
            yield from self._given(_joined(where, "[]"), held["items"], after["items"], depth + 1)

    def _resolved(self, before: Any, now: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return _resolve(before, self._before), _resolve(now, self._now)


def _joined(where: str, name: str) -> str:
    return f"{where} {name}" if where.endswith(":") else f"{where}.{name}"


def _schema(holder: dict[str, Any]) -> Any:
    content = holder.get("content", {})
    return next((each.get("schema") for kind, each in content.items() if "json" in kind), None)


def _resolve(schema: Any, document: dict[str, Any]) -> dict[str, Any]:
    """With references followed, and parts of `allOf` put together; of `oneOf`, the values of all are together."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _resolve(found, document)
    if "allOf" in schema or "oneOf" in schema:
        merged: dict[str, Any] = {name: value for name, value in schema.items() if name not in {"allOf", "oneOf"}}
        for part in schema.get("allOf", ()):
            merged = _resolve(part, document) | merged
        parts = [_resolve(part, document) for part in schema.get("oneOf", ())]
        if parts:
            merged = parts[0] | merged
            if all("enum" in part for part in parts):
                merged["enum"] = [value for part in parts for value in part["enum"]]
        return merged
    return schema


def _type(where: str, held: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for part in ("type", "format"):
        if held.get(part) != after.get(part) and held.get(part) is not None:
            yield f"{where} was {held[part]} and is {after.get(part)}"


def _values(schema: dict[str, Any]) -> set[Any] | None:
    return set(schema["enum"]) if "enum" in schema else None


def last_release() -> Path:
    return max(RELEASES.glob("openapi-*.json"), key=lambda path: [int(n) for n in path.stem.split("-")[1].split(".")])


def main(arguments: list[str]) -> int:
    before = Path(arguments[0]) if arguments else last_release()
    now = Path(arguments[1]) if len(arguments) > 1 else ROOT / "frontend" / "openapi.json"
    found = breaks(json.loads(before.read_text()), json.loads(now.read_text()))
    fresh = [each for each in found if each not in ACCEPTED]
    for each in fresh:
        print(each, file=sys.stderr)  # noqa: T201
    return 1 if fresh else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
