"""Lines of the log, as real processes write them: all of them, whole, in order, and several with one call."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

START = """
import datetime, logging, os, signal, sys, threading
from ollamamax import logs
logs.configure("info")
log = logs.get("a.b")
"""
SECONDS = 30


def start(script: str, stderr: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", START + script], stdin=-1, stdout=-1, stderr=stderr)


def events(lines: Sequence[bytes]) -> list[str]:
    return [msgspec.json.decode(line)["event"] for line in lines]


def ended(script: str) -> tuple[int, list[str]]:
    """The exit status and the events, once the process and all that hold its standard error are gone."""
    with start(script) as process:
        _, said = process.communicate(timeout=SECONDS)
    return process.returncode, events(said.splitlines())


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); os.kill(os.getpid(), signal.SIGTERM)", 4),
        (
            "signal.signal(signal.SIGTERM, lambda *_: os._exit(7)); logs.configure('info'); logs.configure('info'); "
            "os.kill(os.getpid(), signal.SIGTERM)",
            7,
        ),
        ("log.warning('last'); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("log.exception('last'); os._exit(5)", 5),
        ("logging.getLogger('c').error('last'); os._exit(6)", 6),
    ],
)
def test_what_was_logged_before_the_end_is_there_in_its_order(end: str, status: int) -> None:
    expected = [f"{number}" for number in range(10)] + (["last"] if "last" in end else [])
    half = "for n in range(5): log.info(str(n))\nfor n in range(5, 10): logging.getLogger('c').info(str(n))\n"
    assert ended(half + end) == (status, expected)


def test_a_line_is_there_within_a_moment_though_nothing_follows() -> None:
    with start("log.info('first'); sys.stdin.read(1); log.info('second'); sys.stdin.read(1)") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        for event in ("first", "second"):
            assert select.select([process.stderr], [], [], SECONDS)[0]
            assert events([process.stderr.readline()]) == [event]
            process.stdin.write(b"x")
            process.stdin.flush()


def test_what_is_logged_while_the_process_ends_is_there_too() -> None:
    # Registered first, called last.
    early = "import atexit; atexit.register(lambda: early('late'))\n" + START
    with subprocess.Popen(
        [sys.executable, "-c", early + "early = log.info; log.info('before')"], stderr=subprocess.PIPE
    ) as process:
        _, said = process.communicate(timeout=SECONDS)
    assert events(said.splitlines()) == ["before", "late"]


def test_a_forked_child_writes_its_own_lines_and_not_its_parent_s_again() -> None:
    script = """
log.info("parent")
if os.fork() == 0:
    log.info("child")
    if os.fork() == 0:
        log.info("grandchild")
        sys.exit()
    os.wait()
    sys.exit()
os.wait()
log.info("parent again")
"""
    _, found = ended(script)
    assert sorted(found) == ["child", "grandchild", "parent", "parent again"]


def test_threads_and_forks_write_whole_lines_and_each_in_its_order() -> None:
    """More than the pipe holds, and a reader that waits: nobody's lines are lost or broken by another's."""
    script = """
os.fork()
def say(name):
    for n in range(2000):
        (log.warning if n % 500 == 499 else log.info)(f"{os.getpid()}.{name} {n}", filled="x" * (n % 300))
threads = [threading.Thread(target=say, args=(name,)) for name in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    _, found = ended(script)
    said: dict[str, list[int]] = {}
    for event in found:
        who, number = event.split()
        said.setdefault(who, []).append(int(number))
    assert len(said) == 8
    assert all(numbers == list(range(2000)) for numbers in said.values())


def test_many_lines_take_few_calls_each_of_whole_lines_that_a_pipe_keeps_together() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    script = "for n in range(1000): log.info(str(n), filled='x' * 200)\nlog.info('long', filled='x' * 9000)"
    with ours, start(script, theirs) as process:
        theirs.close()
        calls = []
        while data := ours.recv(1 << 16):
            calls.append(data)
        assert process.wait(SECONDS) == 0
    assert events(b"".join(calls).splitlines()) == [*map(str, range(1000)), "long"]
    assert len(calls) < 150
    assert all(call.endswith(b"\n") for call in calls)
    assert all(len(call) <= select.PIPE_BUF or call.count(b"\n") == 1 for call in calls)


def test_a_reader_that_is_gone_does_no_harm() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with start("for n in range(5000): log.info('x')\nlog.warning('y'); print('well')", writing) as process:
        os.close(writing)
        said, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (0, b"well\n")


@pytest.mark.parametrize("long", [0, 50_000])
def test_nobody_waits_for_a_reader_that_reads_nothing(long: int) -> None:
    """As with a supervisor that is frozen: the pipe is full, and requests that log go on; what was lost meanwhile is counted."""
    script = f"""
for n in range(30000): (log.warning if n % 1000 == 0 else log.info)(str(n), filled="x" * ({long} if n % 10000 == 5 else 100))
print("done", flush=True)
sys.stdin.read(1)
"""
    with start(script) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], SECONDS)[0], "it waits for its reader"
        assert process.stdout.readline() == b"done\n"
        stderr = process.stderr
        assert stderr is not None
        lines: list[bytes] = []
        while not lines or b"log_lines_lost" not in lines[-1]:
            lines.append(stderr.readline())
        _, rest = process.communicate(b"x", timeout=SECONDS)
    lost = msgspec.json.decode(lines.pop())["count"]
    numbers = [int(event) for event in events(lines + rest.splitlines())]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == 30000
    assert numbers[:15000] == list(range(15000))


def test_a_process_ends_though_nobody_reads_its_last_lines() -> None:
    script = "for n in range(5000): log.info(str(n), filled='x' * 100)\nprint('well', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)"
    with start(script) as process:
        assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_signal_handler_may_log_in_the_middle_of_another_line() -> None:
    script = """
def interrupt(*_):
    log.info("from it")
    log.warning("from it, at once")
    # Not before: on a slow machine a handler that is interrupted by itself would never end.
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
for n in range(20000): (log.warning if n % 100 == 99 else log.info)(str(n))
signal.signal(signal.SIGALRM, signal.SIG_IGN)
"""
    status, found = ended(script)
    assert status == 0
    assert sorted(int(event) for event in found if event.isdigit()) == list(range(20000))
    assert found.count("from it") == found.count("from it, at once") > 0


def test_a_line_says_who_when_how_grave_and_what_went_wrong() -> None:
    script = """
try: raise ValueError("no such luck")
except ValueError:
    log.exception("ours", tried=2)
    logging.getLogger("c").exception("theirs %s", 2)
"""
    with start(script) as process:
        _, said = process.communicate(timeout=SECONDS)
    ours, theirs = (msgspec.json.decode(line) for line in said.splitlines())
    assert (ours["event"], ours["level"], ours["logger"], ours["tried"]) == ("ours", "error", "a.b", 2)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("theirs 2", "error", "c")
    for line in (ours, theirs):
        assert line["exception"].endswith("ValueError: no such luck")
        assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["info", "warning"])
def test_a_line_that_is_one_object_is_as_any_other(level: str) -> None:
    script = f"""
class Said(logs.LoggedFacts):
    text: str
    left_out: tuple[str, ...] = ()
logs.configure("{level}")
for text in ("plain", "\\x9b2J", "half " + chr(0xD800)):
    logs.gather(Said("said", "a.b", "info", datetime.datetime.now(datetime.UTC), text))
    log.info("said", text=text)
"""
    with start(script) as process:
        _, said = process.communicate(timeout=SECONDS)
    lines = [json.loads(line) for line in said.splitlines()]
    assert process.returncode == 0
    assert len(lines) == (6 if level == "info" else 0)
    assert said.isascii()
    for ours, logged in zip(lines[::2], lines[1::2], strict=True):
        assert ours.pop("timestamp")[:16] <= logged.pop("timestamp")[:16]
        assert ours == logged


def test_no_line_moves_the_cursor_turns_text_around_or_breaks_off() -> None:
    """Whatever stands in a name or a header: lines are read in terminals, and one that cannot be written ends nothing."""
    acts = [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xD800]
    script = f"""
text = "a" + "".join(map(chr, {acts})) + "b"
log.info("said", text=text, **{{text[:-2]: "x"}})
logging.getLogger("c").warning("%s", text)
"""
    with start(script) as process:
        _, said = process.communicate(timeout=SECONDS)
    lines = said.splitlines()
    assert process.returncode == 0
    assert len(lines) == 2
    for line in lines:
        assert {ord(each) for each in line.decode()}.isdisjoint(acts)
    whole = "a" + "".join(map(chr, acts)) + "b"
    assert json.loads(lines[1])["event"] == whole
    assert json.loads(lines[0])["text"] == whole
