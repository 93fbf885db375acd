"""The script in docs/failures.md: an unmodified client's stream survives the death of the node that serves it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.product import ROOT, placed

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("benchmarks"),
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("processes_without_coverage"),
]


def test_the_script_in_the_document_shows_it(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "failures.md").read_text()
    (script,) = re.findall(r"`survive\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "survive.py").write_text(script)
    with placed(ROOT, nodes=3) as place:
        place.up(seconds=240)
        done = subprocess.run(
            [sys.executable, tmp_path / "survive.py"], env=place.environ, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr[-2000:]
    before, killed, after = re.split(r"\n\[killed (node-\d)\]\n", done.stdout)
    assert killed
    assert before
    told = re.search(r"\[(\d+) tokens; (?:stop|length)\]\n$", after)
    assert told
    assert int(told[1]) > 31, "it said more after the kill"
