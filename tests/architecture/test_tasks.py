"""Every Celery task name that is sent exists on the worker it is sent to; no linter can see strings."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

from tests.architecture.code import ROOT, called_name, modules, text_of

# Fresh processes, as the workers are: what a test has imported does not count.
# kombu itself imports `django.utils` where Django is installed; its settings and its database it leaves alone.
NODE = """
import json, sys
from celery import Celery
app = Celery("node")
from cluster.worker.app import TASKS
app.conf.include = list(TASKS)
app.loader.import_default_modules()
app.finalize()
print(json.dumps([sorted(app.tasks), sorted({"django.conf", "django.db", "psycopg", "rest_framework"} & set(sys.modules))]))
"""


def registered(program: str, **environ: str) -> tuple[set[str], list[str]]:
    # Celery loads Django by itself where this variable is set; nodes do not have it.
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, env=kept | environ
    )
    tasks, modules_there = json.loads(done.stdout.splitlines()[-1])
    return {name for name in tasks if not name.startswith("celery.")}, modules_there


def sent() -> set[str]:
    """First arguments of `send_task`, and what prepared messages name as their task."""
    names = set()
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called_name(node) == "send_task":
                name = text_of(node.args[0])
                assert name is not None, f"{path}:{node.lineno}: the name of a task is not written out"
                names.add(name)
            elif isinstance(node, ast.Dict):
                names |= {
                    text
                    for key, value in zip(node.keys, node.values, strict=True)
                    if text_of(key) == "task" and (text := text_of(value))
                }
    return names


def test_every_task_that_is_sent_by_name_exists_on_the_node_which_knows_no_django() -> None:
    tasks, forbidden = registered(NODE)
    assert sent() <= tasks
    assert {"cluster.drain_inbox", "models_registry.fetch_version"} <= sent()
    assert {
        "cluster.drain_inbox",
        "cluster.load_model",
        "cluster.unload_model",
        "models_registry.fetch_version",
        "models_registry.remove_version",
    } <= tasks
    assert forbidden == []
