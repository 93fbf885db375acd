"""What others answered, kept for some minutes each in the memory of one process. Of those who want the same at once one asks, and the others wait for what
that one hears.

Whom an answer is of may be slow, or say nothing, on purpose: only so many wait at once, for one address and for all, and who comes then is refused at once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.db import connection

from ollamamax.sso.refusals import SsoRefused, Why

KEPT_SECONDS = 600.0
MOST_KEPT = 1000
T = TypeVar("T")


class Places:
    """For who waits: ``most`` in all, and ``most_of_one`` for one name. Names that answered last time leave ``most_unproven`` of them to those that did not, or
    were never asked: who has many addresses that say nothing stands in nobody's way."""

    def __init__(self, most: int, most_of_one: int, most_unproven: int) -> None:
        self._most, self._most_of_one, self._most_unproven = most, most_of_one, most_unproven
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._unproven = 0
        self._proven: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Who waits holds no connection to Postgres meanwhile, which others need. Raises `SsoRefused` where no place is left."""
        with self._lock:
            proven = name in self._proven
            full = self._taken[name] >= self._most_of_one or self._taken.total() >= self._most
            if full or (not proven and self._unproven >= self._most_unproven):
                raise SsoRefused(Why.TOO_OFTEN, "Too many wait for an answer of the provider already.")
            self._taken[name] += 1
            self._unproven += not proven
        answered = False
        try:
            if not connection.in_atomic_block:
                connection.close()
            yield
            answered = True
        finally:
            with self._lock:
                self._taken[name] -= 1
                self._unproven -= not proven
                if not self._taken[name]:
                    del self._taken[name]
                self._note(name, answered)

    def _note(self, name: str, answered: bool) -> None:
        self._proven.pop(name, None)
        if answered:
            self._proven[name] = None
            while len(self._proven) > MOST_KEPT:
                self._proven.popitem(last=False)


class KeptAnswers(Generic[T]):
    """One that fails is not kept."""

    def __init__(self, waiting: Places) -> None:
        self._held: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._asked: dict[str, Future[T]] = {}
        self._waiting = waiting
        self._lock = threading.Lock()

    def value(self, name: str, fetch: Callable[[], T], *, older: float = KEPT_SECONDS) -> T:
        """The one that is held, unless it is ``older`` than so many seconds. Raises what ``fetch`` does, and `SsoRefused` where too many wait."""
        with self._lock:
            held = self._held.get(name)
            if held is not None and time.monotonic() - held[0] < older:
                return held[1]
            asked = self._asked.get(name)
            mine = asked is None
            if asked is None:
                asked = self._asked[name] = Future()
        if mine:
            self._fetch(name, fetch, asked)
            return asked.result()
        with self._waiting.one(name):
            return asked.result()

    def _fetch(self, name: str, fetch: Callable[[], T], asked: Future[T]) -> None:
        try:
            value = fetch()
        except BaseException as error:  # noqa: BLE001 - of whoever waits, too
            with self._lock:
                del self._asked[name]
            asked.set_exception(error)
            return
        with self._lock:
            del self._asked[name]
            self._held[name] = (time.monotonic(), value)
            self._held.move_to_end(name)
            while len(self._held) > MOST_KEPT:
                self._held.popitem(last=False)
        asked.set_result(value)

    def drop(self, name: str) -> T | None:
        with self._lock:
            held = self._held.pop(name, None)
        return None if held is None else held[1]
