"""Runs the control loops of this process: each in a thread of its own, so that a slow one delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.utils.module_loading import autodiscover_modules

from ollamamax import logs
from ollamamax.bus import keys, loop_measuring, regions
from ollamamax.bus.leases import LEASE_SECONDS, RENEW_SECONDS, LeaderLease, PostgresLease, RedisLease
from ollamamax.bus.loops import LOOPS, Leader, LeaseOf, Loop, NotLeading, wakes_no_more, woken
from ollamamax.bus.regions import Region
from ollamamax.contract.loop_state import LoopState
from ollamamax.contract.usage import encode_json
from ollamamax.kernel.ids import new_id

_EXPECTED = (redis.RedisError, DatabaseError, OSError)
"""What ends a run while Redis or Postgres is away."""
TELL_SECONDS = 1.0
WOKEN_APART = 0.25
"""Seconds from one beginning to the next of a loop that is woken again and again."""
_log = logs.get(__name__)


def every_loop() -> list[Loop]:
    """Those of all contexts."""
    autodiscover_modules("loops", "publication_loops")
    return list(LOOPS.values())


class _Kept:
    """A lease that is taken, or renewed, once a second by a thread of its own: a server that is away holds up no other lease."""

    def __init__(self, lease: LeaderLease, name: str, stopping: threading.Event) -> None:
        self._lease = lease
        self._name = name
        self._stopping = stopping
        self._fence = 0
        self._until = 0.0
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def fence(self) -> int:
        """The number under which this process leads now; 0 when it does not, as far as it knows."""
        return self._fence if time.monotonic() < self._until else 0

    def check(self, fence: int) -> None:
        self._lease.check(fence)

    def stop(self) -> None:
        self._thread.join(LEASE_SECONDS)

    def _keep(self) -> None:
        while True:
            asked = time.monotonic()
            try:
                fence = self._lease.take()
            except _EXPECTED as error:
                loop_measuring.lease_failed(self._name)
                _log.warning("loops_lease_not_renewed", lease=self._name, error=type(error).__name__)
            else:
                loop_measuring.lease_answered(self._name, fence, time.monotonic() - asked)
                if fence and fence != self._fence:
                    _log.info("loops_led", lease=self._name, fence=fence)
                # Counted from before it was asked for: never longer than the server counts it.
                self._fence, self._until = fence, asked + LEASE_SECONDS
            finally:
                _let_go()
            if self._stopping.wait(RENEW_SECONDS):
                break
        self._fence = 0
        try:
            self._lease.give_back()
        except _EXPECTED:
            pass  # it lapses
        finally:
            _let_go()


class _Telling:
    """Tells in a region's Redis how the last run of each loop went: of all loops together, once a second."""

    def __init__(self, region: Region, stopping: threading.Event) -> None:
        self._region = region
        self._stopping = stopping
        self._untold: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._tell, name=f"tell {region.name}", daemon=True)

    def ran(self, state: LoopState) -> None:
        with self._lock:
            self._untold[state.loop] = encode_json(state)

    def write(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, {}
        if untold:
            try:
                self._region.client.hset(keys.LOOPS, mapping=untold)
            except redis.RedisError as error:
                _log.warning("loop_states_not_told", region=self._region.name, error=type(error).__name__)

    def _tell(self) -> None:
        while not self._stopping.wait(TELL_SECONDS):
            self.write()


class Controller:
    """``loops`` for all regions of the installation."""

    def __init__(self, loops: Iterable[Loop]) -> None:
        self.id = new_id()
        self._stopping = threading.Event()
        own = regions.own()
        every = regions.every()
        in_redis = {
            region.name: _Kept(RedisLease(region.client, self.id), f"redis {region.name}".strip(), self._stopping)
            for region in every
        }
        in_postgres = _Kept(PostgresLease(self.id), "postgres", self._stopping)
        self._leases = [*in_redis.values(), in_postgres]
        self._telling = {region.name: _Telling(region, self._stopping) for region in every}
        self._running: list[_Running] = []
        for loop in loops:
            for region in every if loop.each_region else [own]:
                lease = {LeaseOf.REDIS: in_redis[region.name], LeaseOf.POSTGRES: in_postgres}.get(loop.lease)
                telling = self._telling[region.name]
                self._running.append(_Running(loop, region, lease, self.id, telling, self._stopping))

    def start(self) -> None:
        for lease in self._leases:
            lease.start()
        for telling in self._telling.values():
            telling.thread.start()
        for running in self._running:
            running.thread.start()

    def wait(self) -> None:
        """Until `stop`."""
        self._stopping.wait()

    def begin_stop(self) -> None:
        """Safe in a signal handler."""
        self._stopping.set()
        for running in self._running:
            running.woken.set()

    def stop(self, seconds: float = 10.0) -> None:
        """Let what runs end, for so long at most, and give the leases back."""
        self.begin_stop()
        end = time.monotonic() + seconds
        for running in self._running:
            running.thread.join(max(0.0, end - time.monotonic()))
            wakes_no_more(running.woken)
        for telling in self._telling.values():
            telling.thread.join(max(0.0, end - time.monotonic()))
            telling.write()
        for lease in self._leases:
            lease.stop()


class _Running:
    """One loop in one region."""

    def __init__(
        self,
        loop: Loop,
        region: Region,
        lease: _Kept | None,
        process: str,
        telling: _Telling,
        stopping: threading.Event,
    ) -> None:
        self._loop = loop
        self._region = region
        self._lease = lease
        self._process = process
        self._telling = telling
        self._stopping = stopping
        self.woken = woken(loop)
        self.thread = threading.Thread(target=self._forever, name=loop.name, daemon=True)

    def _forever(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            began = time.monotonic()
            if self._lease is None or self._lease.fence():
                self._once(began - due)
                # What was missed is not made up for: the next run sees all of it.
                due = max(due + self._loop.every, time.monotonic())
            else:
                due = began + min(self._loop.every, RENEW_SECONDS)
            if self.woken.wait(max(0.0, due - time.monotonic())):
                due = min(due, max(began + WOKEN_APART, time.monotonic()))
                self._stopping.wait(max(0.0, due - time.monotonic()))
                self.woken.clear()

    def _once(self, behind: float) -> None:
        fence = self._lease.fence() if self._lease is not None else 0
        at, began, problem = time.time(), time.monotonic(), ""
        try:
            close_old_connections()
            self._loop.run(Leader(self._region, fence, lambda: self._check(fence)))
        except NotLeading:
            _log.warning("loop_no_longer_led", loop=self._loop.name, fence=fence)
            problem = "Another process leads."
        except _EXPECTED as error:
            _log.warning("loop_failed", loop=self._loop.name, region=self._region.name, error=str(error)[:500])
            problem = type(error).__name__
        except Exception as error:  # noqa: BLE001 - a defect in one run ends neither the loop nor another one
            _log.exception("loop_broke", loop=self._loop.name, region=self._region.name)
            problem = type(error).__name__
        finally:
            _let_go()
        took = time.monotonic() - began
        loop_measuring.ran(self._loop, self._region.name, took, max(0.0, behind), problem)
        self._telling.ran(
            LoopState(
                loop=self._loop.name,
                process=self._process,
                began_at=round(at, 3),
                took_ms=round(took * 1000, 1),
                behind_ms=round(max(0.0, behind) * 1000, 1),
                every_ms=self._loop.every * 1000,
                fence=fence,
                error=problem,
                spent_ms=round(time.thread_time() * 1000, 1),
            )
        )

    def _check(self, fence: int) -> None:
        if self._lease is not None:
            self._lease.check(fence)


def _let_go() -> None:
    """Give this thread's connections back to the pool."""
    connections.close_all()
