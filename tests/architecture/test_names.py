"""Names that a reader can look up: one public class of a name in the product."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.architecture.code import modules

TWICE = {
    # Django finds a management command by this name.
    "Command",
    # The message that a gateway sends, and the row that it becomes.
    "UsageRecord",
}


def test_no_two_public_classes_share_a_name_but_those_listed() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Migration":
                places[node.name].append(str(path))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() - TWICE == set(), twice
    assert TWICE - twice.keys() == set(), "these have one place now: take them off the list"
