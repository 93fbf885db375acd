"""The files whose order is written down are there."""

from __future__ import annotations

from tests.architecture.code import ROOT
from tests.order import LONGEST


def test_every_file_named_as_long_is_there_and_named_once() -> None:
    assert [file for file in LONGEST if not (ROOT / "tests" / file).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
