"""No block of the documents is in nobody's care, and each is what it says it is."""

from __future__ import annotations

import re

import pytest

from tests.architecture.code import ROOT
from tests.flow.documents import ELSEWHERE, NOT_RUN, RUN, Block, blocks, check

BLOCKS = blocks()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name[:60])
def test_every_block_is_run_or_has_a_reason(block: Block) -> None:
    known = [name for name in (*RUN, *ELSEWHERE, *NOT_RUN) if block.name.startswith(name)]
    assert len(known) == 1, f"Put this block into one list of tests/flow/documents.py: {block.name}"
    check(block)


@pytest.mark.parametrize("name", [*RUN, *ELSEWHERE, *NOT_RUN])
def test_the_lists_name_blocks_that_are_there(name: str) -> None:
    assert any(block.name.startswith(name) for block in BLOCKS)


def test_every_test_that_a_page_names_is_there() -> None:
    named = {
        name for page in (ROOT / "docs").rglob("*.md") for name in re.findall(r"\btests/[\w/]+\.py\b", page.read_text())
    }
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).is_file()} == set()
