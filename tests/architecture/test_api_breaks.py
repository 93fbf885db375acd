"""What counts as breaking whoever uses the management API, and that this tree does not."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

SPEC = importlib.util.spec_from_file_location("api_breaks", settings.BASE_DIR / ".ci" / "api_breaks.py")
assert SPEC is not None
assert SPEC.loader is not None
api_breaks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(api_breaks)
NOW: dict[str, Any] = json.loads((settings.BASE_DIR / "frontend" / "openapi.json").read_text())
Change = Callable[[dict[str, Any]], object]


def keys(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]
    return found


BREAKS: dict[str, Change] = {
    "a path is gone": lambda d: d["paths"].pop("/api/v1/keys"),
    "a method is gone": lambda d: d["paths"]["/api/v1/keys"].pop("post"),
    "a field of an answer is gone": lambda d: keys(d)["Key"]["properties"].pop("identifier"),
    "a field of an answer changed its type": lambda d: keys(d)["Key"]["properties"].update(name={"type": "integer"}),
    "a field of an answer may be null": lambda d: keys(d)["Key"]["properties"]["name"].update(nullable=True),
    "a field of an answer may be missing": lambda d: keys(d)["Key"]["required"].remove("name"),
    "a field inside of a field is gone": lambda d: keys(d)["User"]["properties"].pop("email"),
    "a field of a request is gone": lambda d: keys(d)["KeyCreate"]["properties"].pop("expires_at"),
    "a field of a request is needed": lambda d: keys(d)["KeyCreate"]["required"].append("expires_at"),
    "a request takes fewer values": lambda d: keys(d)["PermissionsEnum"]["enum"].pop(),
    "a request takes shorter text": lambda d: keys(d)["KeyCreate"]["properties"]["name"].update(maxLength=5),
    "a parameter is gone": lambda d: d["paths"]["/api/v1/keys"]["get"]["parameters"].clear(),
    "a parameter is needed": lambda d: d["paths"]["/api/v1/keys"]["get"]["parameters"][0].update(required=True),
    "an answer is gone": lambda d: d["paths"]["/api/v1/keys"]["post"]["responses"].pop("201"),
}
FINE: dict[str, Change] = {
    "a path is new": lambda d: d["paths"].update({"/api/v1/new": d["paths"]["/api/v1/keys"]}),
    "a field of an answer is new": lambda d: keys(d)["Key"]["properties"].update(more={"type": "string"}),
    "a field of a request is new": lambda d: keys(d)["KeyCreate"]["properties"].update(more={"type": "string"}),
    "a request takes longer text": lambda d: keys(d)["KeyCreate"]["properties"]["name"].update(maxLength=500),
    "a field of a request is not needed any more": lambda d: keys(d)["KeyCreate"].update(required=[]),
}


def changed(change: Change) -> dict[str, Any]:
    document = copy.deepcopy(NOW)
    change(document)
    return document


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found(name: str) -> None:
    assert api_breaks.breaks(NOW, changed(BREAKS[name]))


@pytest.mark.parametrize("name", FINE)
def test_what_breaks_nobody_is_let_through(name: str) -> None:
    assert api_breaks.breaks(NOW, changed(FINE[name])) == []


def test_this_tree_breaks_nobody_who_used_the_last_release() -> None:
    assert api_breaks.main([]) == 0
