"""What the chaos suite counts, how it breaks a network, and where it writes its table."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from benchmarks.chaos_faults import TRIALS
from benchmarks.chaos_report import BEGIN, END, Result, Seen, Size, recovery, report, row, write
from benchmarks.interruptions import Told
from benchmarks.rough_network import RoughProxy

WHOLE = Told(0, "g", 10.0, first=10.1, token=10.2, end="ok", status=b"HTTP/1.1 200 OK")
CUT = Told(0, "g", 10.0)
REFUSED = Told(0, "g", 10.0, first=10.1, end="refused", status=b"HTTP/1.1 503 Service Unavailable")
BROKEN = Told(0, "g", 10.0, first=10.1, token=10.2, end="error", status=b"HTTP/1.1 200 OK")
GIVEN_UP = Told(0, "g", 10.0, end="cut", again=2)


def test_a_request_is_lost_after_its_retries_and_a_try_before() -> None:
    seen = Seen([WHOLE, CUT, REFUSED, BROKEN, GIVEN_UP])
    assert (seen.tries_lost, seen.lost, seen.broken) == (3, 1, 1)
    assert [each.failed for each in seen.requests] == [False, True, True], "each request counts once, at its last try"
    assert seen.requests[0].first_token_ms == pytest.approx(200)


def test_recovery_is_when_the_last_request_is_undisturbed_again() -> None:
    usual = Told(0, "g", 10.0, first=10.1, token=10.2, token_gap=0.1, token_gap_end=10.4, end="ok")
    control = Seen([usual], began=9.0)
    late = Told(0, "g", 10.0, first=10.1, token=12.0, token_gap=0.1, token_gap_end=12.4, end="ok")
    paused = Told(0, "g", 10.0, first=10.1, token=10.2, token_gap=3.0, token_gap_end=14.0, end="ok")
    failed = Told(0, "g", 10.0, ended=15.5)
    assert recovery(control, Seen([usual], began=9.0)) == 0.0
    assert recovery(control, Seen([usual, late], began=9.0)) == 3.0
    assert recovery(control, Seen([paused, late], began=9.0)) == 5.0
    assert recovery(control, Seen([failed, paused], began=9.0)) == 6.5


def test_the_table_says_what_was_seen_and_no_data_where_nothing_was(tmp_path: Path) -> None:
    trial = TRIALS[0]
    held = Result(trial, [(Seen([WHOLE] * 9), Seen([WHOLE] * 9, back=2.0))] * 2, {"node_lost"})
    lost = Result(trial, [(Seen([WHOLE]), Seen([WHOLE, GIVEN_UP], back=2.0))])
    never_back = Result(trial, [(Seen([WHOLE]), Seen([WHOLE], back=None))])
    unsteady = Result(trial, [(Seen([Told(0, "g", 10.0, first=19.0, token=19.1, end="ok")]), Seen([WHOLE]))])
    assert (unsteady.verdict, "too busy" in row(unsteady, 1)) == ("no data", True)
    left_out = Result(trial, left_out="only root can mount a small disk")
    assert [each.verdict for each in (held, lost, never_back, left_out)] == ["held", "broken", "broken", "no data"]
    assert "| 18, 18 | 0, 0 | 0 | 2.0, 2.0 | +0.0 (+0.0 to +0.0) | +0 (+0 to +0) |" in row(held, 1)
    assert "`node_lost`" in row(held, 1)
    assert "no data: only root" in row(left_out, 1)
    document = tmp_path / "chaos.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(report([held, left_out], None, Size(), "a machine", 60.0), document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("agent killed") == 2
    (tmp_path / "other.md").write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        write("x", tmp_path / "other.md")


def test_a_network_that_is_cut_passes_nothing_and_all_of_it_afterwards() -> None:
    echo = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        there, _ = echo.accept()
        while data := there.recv(100):
            there.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    with RoughProxy(echo.getsockname()[1]) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as here:
        here.settimeout(30)
        here.sendall(b"one")
        assert here.recv(100) == b"one"
        proxy.network.is_cut = True
        here.sendall(b"two")
        here.settimeout(0.3)
        with pytest.raises(TimeoutError):
            here.recv(100)
        here.settimeout(30)
        proxy.network.is_cut = False
        assert here.recv(100) == b"two"
        proxy.network.delay = 0.1
        began = time.monotonic()
        here.sendall(b"three")
        assert here.recv(100) == b"three"
        assert time.monotonic() - began >= 0.2, "there and back"
        proxy.network.delay, proxy.network.loss = 0.0, 0.5
        for number in range(9):
            here.sendall(b"%d" % number)
        got = bytearray()
        while len(got) < 9:
            got += here.recv(100)
        assert bytes(got) == b"012345678", "in order, whatever was lost on the way"
    echo.close()
