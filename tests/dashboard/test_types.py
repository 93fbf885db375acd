"""The payloads as the page's TypeScript has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from dashboard import typescript
from dashboard.payloads import Frame, Point, Snapshot, decode, encode

TYPES: Path = settings.BASE_DIR / "frontend" / "src" / "live" / "types.ts"


def test_the_typescript_types_are_those_of_the_payloads() -> None:
    assert TYPES.read_text() == typescript.declarations(), (
        "run: python -m dashboard.typescript > frontend/src/live/types.ts"
    )


def test_a_schema_without_a_typescript_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no TypeScript"):
        typescript._type({"type": "object"})


def test_a_snapshot_says_what_it_is() -> None:
    snapshot = Snapshot(
        seq=3,
        at=1.0,
        tenant="t",
        nodes=[],
        running=[],
        running_total=0,
        waiting=[],
        waiting_total=0,
        finished=[],
        series=[],
    )
    assert encode(snapshot) == (
        b'{"type":"snapshot","seq":3,"at":1.0,"tenant":"t","nodes":[],"running":[],"running_total":0,'
        b'"waiting":[],"waiting_total":0,"finished":[],"series":[]}'
    )
    assert decode(encode(snapshot)) == snapshot


def test_a_frame_says_what_it_is() -> None:
    point = Point(at=1.0, nodes=1, nodes_up=0, capacity=None, running=None, waiting=None, tokens_per_second=None)
    frame = Frame(
        seq=4,
        at=1.0,
        nodes=[],
        gone=["n"],
        running=[],
        running_total=0,
        waiting=[],
        waiting_total=0,
        finished=[],
        point=point,
    )
    assert encode(frame) == (
        b'{"type":"frame","seq":4,"at":1.0,"nodes":[],"gone":["n"],"running":[],"running_total":0,'
        b'"waiting":[],"waiting_total":0,"finished":[],'
        b'"point":{"at":1.0,"nodes":1,"nodes_up":0,"capacity":null,"running":null,"waiting":null,'
        b'"tokens_per_second":null,"queued":null}}'
    )
    assert decode(encode(frame)) == frame
