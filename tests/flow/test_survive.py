"""The scripts in docs/failures.md: an unmodified client's stream survives the death of the node that serves it, and an engine that freezes; a node that lies is ignored."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.product import ROOT, Place, placed
from cluster.scheduling.silence import FLOOR

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("benchmarks"),
    pytest.mark.timeout(900),
]


def test_the_scripts_in_the_document_show_it(tmp_path: Path) -> None:
    with placed(ROOT, nodes=3) as place:
        place.up(seconds=240)
        before, after = _shown(place, tmp_path, "survive", r"killed")
        assert before
        told = re.search(r"\[(\d+) tokens; (?:stop|length)\]\n$", after)
        assert told
        assert int(told[1]) > 11, "it said more after the kill"
        before, after = _shown(place, tmp_path, "frozen", r"froze the engine of")
        assert before
        told = re.search(
            r"\[(\d+) tokens; (?:stop|length); ([\d.]+) s without a token; the frozen process is gone\]\n$", after
        )
        assert told
        assert int(told[1]) > 11
        assert float(told[2]) >= FLOOR
        assert re.fullmatch(r"\[20 of 20 answers while it lied; .+\]\n", _run(place, tmp_path, "lying"))


def _shown(place: Place, folder: Path, name: str, what: str) -> tuple[str, str]:
    """What a script of the document prints before and after its line that says ``what`` was done to a node."""
    before, node, after = re.split(rf"\n\[{what} (node-\d)\]\n", _run(place, folder, name))
    assert node
    return before, after


def _run(place: Place, folder: Path, name: str) -> str:
    """What a script of the document prints."""
    text = (ROOT / "docs" / "failures.md").read_text()
    (script,) = re.findall(rf"`{name}\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)
    path = folder / f"{name}.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], env=place.environ, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
