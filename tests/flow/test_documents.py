"""No block of the documents is in nobody's care, and each is what it says it is."""

from __future__ import annotations

import pytest

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
