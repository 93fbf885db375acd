"""The Redis functions read what they are given: how a record is written, by which program and in which order, changes nothing."""

from __future__ import annotations

import json
import re

import pytest
import redis

from ollamamax.bus import keys
from ollamamax.contract import decode_open
from ollamamax.kernel.ids import new_id
from tests.architecture.code import PACKAGES, ROOT
from tests.dispatch.calls import Calls, account, admission
from tests.dispatch.one_node import FLOODS, GATEWAY, NODE, STEADY, Line

OPEN = {
    "request": "",
    "gateway": GATEWAY,
    "tenant": STEADY,
    "key": "k",
    "model": 'a "node":"ffff" {}',
    "version": "v",
    "api": "/",
    "trace": "",
    "received_at": 1.5,
    "admitted_at": 2.5,
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_grant_is_found_however_the_open_record_is_written(
    valkey: redis.Redis, indent: int | None, *, backwards: bool
) -> None:
    line, call = Line(valkey, 1), Calls(valkey)
    first, second = line.ask(FLOODS), new_id()
    fields = {**OPEN, "request": second}
    written = json.dumps(dict(reversed(fields.items())) if backwards else fields, indent=indent)
    asked = admission(second, STEADY, [(NODE, "gpu", 1)], gateway=GATEWAY, open=written.removeprefix("{"))
    look = {"request": second, "ticket": f"{second}.1", "nodes": [(NODE, "gpu", 1)], "moved": False, "offered": [NODE]}
    assert call("admit", asked, b"t")[0] == b"waits"
    assert call("look", look) == [b"waits"]
    line.end(first, FLOODS, pause=None)
    assert call("look", look) == [b"given", NODE.encode()]

    held = valkey.hget(keys.OPEN, second)
    opened = decode_open(held or b"")
    assert (opened.request, opened.node, opened.model) == (second, NODE, OPEN["model"])
    again = json.dumps(dict(reversed(json.loads(held or b"").items())), indent=indent)
    valkey.hset(keys.OPEN, second, again)
    assert call("look", look) == [b"given", NODE.encode()]
    call("settle", account(second, STEADY, NODE), b"{}")
    assert call("look", look) == [b"lost"]
    assert not valkey.exists(keys.OPEN)


def test_no_function_looks_for_a_pattern_in_json() -> None:
    searched = re.compile(r"(?:match|gmatch|find|cjson\.decode)\s*\(([^)]*)\)")
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.lua")):
            for arguments in searched.findall(file.read_text()):
                assert '"' not in arguments, f"{file.name}: {arguments}"
                assert "{" not in arguments, f"{file.name}: {arguments}"
