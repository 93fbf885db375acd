"""The directory: tables that the control plane publishes in Redis and every gateway holds in memory. Knows no Django.

A table is a hash of fields to bytes. Each change has a number, one higher than the last of any table, and is told on
one channel as the number, a space, and MessagePack of ``[table, {field: value}, [deleted field]]``. A reader that
sees a hole in the numbers loads everything again. The field ``""`` of a hash is its mark, which says whether all of the
table was published: when Redis lost it, readers keep the copy they have until a loop has published it all again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import redis
import redis.asyncio

from ollamamax import logs
from ollamamax.bus import connect, keys
from ollamamax.bus.background import Background
from ollamamax.bus.subscription import Subscription
from ollamamax.contract.tables import Table, TableChange, decode_change, encode_change
from ollamamax.kernel.errors import Unavailable

_PUBLISH = Path(__file__).with_name("publish_directory.lua").read_text()
_MARK = b""
_BATCH = 500
"""Fields in one change, so that one call never holds Redis for long."""
_CHECK_SECONDS = 1.0
_ATTEMPTS = 5
_ATTEMPTS_OF_ONE = 50
_CATCH_UP_SECONDS = 1.0
START_PATIENCE = 5.0
"""Seconds for which a request waits for the first copy of the directory."""

T = TypeVar("T")
log = logs.get(__name__)

OnChange = Callable[[str, frozenset[str]], None]


# Publishing: the control plane.


def publish(client: redis.Redis, table: str, changes: Mapping[str, bytes | None]) -> None:
    """Set each field to its bytes, or delete it (``None``), and tell the readers."""
    for batch in _batches(changes.items()):
        _publish(client, table, dict(batch), expected="any", complete=False)


def publish_read(
    client: redis.Redis, table: str, fields: Iterable[str], load: Callable[[], Mapping[str, bytes]]
) -> bool:
    """Publish what ``load`` says of these fields; those that it does not have are deleted. Whether it was published.

    Of two who publish the same field, the one that read last must be the last to publish: what was read is published only if
    nobody published anything in the table meanwhile, else it is read again. After many attempts it is left to a later one.
    """
    for _ in range(_ATTEMPTS_OF_ONE):
        mark: bytes | None = client.hget(keys.directory(table), _MARK)
        held = load()
        changes = {field: held.get(field) for field in fields}
        if _publish(client, table, changes, expected="none" if mark is None else mark.decode(), complete=False):
            return True
    log.warning("directory_busy", table=table)
    return False


def incomplete(client: redis.Redis, tables: Iterable[str]) -> list[str]:
    """Those of the tables of which not all was published, or that Redis has lost. One round trip."""
    names = list(tables)
    with client.pipeline(transaction=False) as pipe:
        for table in names:
            pipe.hget(keys.directory(table), _MARK)
        marks: list[bytes | None] = pipe.execute()
    return [table for table, mark in zip(names, marks, strict=True) if mark is None or not mark.startswith(b"=")]


def reconcile(client: redis.Redis, table: str, load: Callable[[], Mapping[str, bytes]]) -> int:
    """Make the table what ``load`` returns, publishing the differences only. Returns how many fields differed.

    ``load`` is called after the table was read, and what it says is applied only if nobody published meanwhile: else
    a key that was revoked between the two would come back. After some attempts it leaves the rest to the next round.
    """
    changed = 0
    for _ in range(_ATTEMPTS):
        held: dict[bytes, bytes] = client.hgetall(keys.directory(table))
        mark: str | None = held.pop(_MARK, b"none").decode()
        desired = load()
        changes: dict[str, bytes | None] = {
            field: value for field, value in desired.items() if held.get(field.encode()) != value
        }
        changes |= {field.decode(): None for field in held if field.decode() not in desired}
        if not changes and mark is not None and mark.startswith("="):
            return changed
        batches = _batches(changes.items()) or [()]
        for batch in batches:
            mark = _publish(client, table, dict(batch), expected=mark or "none", complete=batch is batches[-1])
            if mark is None:
                break
            changed += len(batch)
        else:
            return changed
    log.warning("directory_busy", table=table)
    return changed


def _publish(
    client: redis.Redis, table: str, changes: Mapping[str, bytes | None], *, expected: str, complete: bool
) -> str | None:
    """The table's new mark, or ``None`` when it was not the expected one."""
    sets = {field: value for field, value in changes.items() if value is not None}
    deletes = [field for field, value in changes.items() if value is None]
    args: list[str | bytes | int] = [
        keys.DIRECTORY_CHANNEL,
        encode_change(TableChange(table, sets, deletes)),
        expected,
        int(complete),
        len(sets),
        *(part for pair in sets.items() for part in pair),
        *deletes,
    ]
    mark: bytes | None = client.register_script(_PUBLISH)(
        keys=[keys.directory(table), keys.DIRECTORY_VERSION], args=args
    )
    return None if mark is None else mark.decode()


def _batches(items: Iterable[tuple[str, bytes | None]]) -> list[tuple[tuple[str, bytes | None], ...]]:
    left = iter(items)
    return list(iter(lambda: tuple(itertools.islice(left, _BATCH)), ()))


# Reading: the gateways.


class Directory:
    """The tables in this process's memory, current to within a round trip of Redis.

    A value that its table cannot decode is left out and logged. When Redis is away the last copy stays. Start it in the event loop that will read it.
    """

    def __init__(self, redis_url: str, tables: Iterable[Table[Any]]) -> None:
        self._decoders = {table.name: table.decode for table in tables}
        self._tables: dict[str, dict[str, Any]] = {name: {} for name in self._decoders}
        self._incomplete = frozenset(self._decoders)
        self._whole: frozenset[str] = frozenset()
        self._started = False
        self._version = -1
        self._moved = asyncio.Event()
        self._asking = asyncio.Lock()
        self._asked = 0
        self._newest = -1
        self._loaded = asyncio.Event()
        self._callbacks: list[OnChange] = []
        self._background = Background()
        self._client = connect.connect_async(redis_url)
        self._taking = asyncio.Lock()
        self._told: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._subscription = Subscription(
            "directory",
            redis_url,
            self._hear,
            channels=[keys.DIRECTORY_CHANNEL],
            load=self._begin_anew,
            background=self._background,
        )

    def get(self, table: Table[T], field: str) -> T | None:
        return self._tables[table.name].get(field)

    def items(self, table: Table[T]) -> ItemsView[str, T]:
        """All fields and entries; read it before the next ``await``."""
        return self._tables[table.name].items()

    def on_change(self, callback: OnChange) -> None:
        """Call ``callback(table, fields)`` after each change that reached this process."""
        self._callbacks.append(callback)

    def is_whole(self, table: Table[Any]) -> bool:
        """Whether this process ever had all of a table: else what it does not find may be there all the same."""
        return table.name in self._whole

    def problems(self) -> dict[str, str]:
        """Why this copy must not be relied on, under the name of the part; nothing while it can be."""
        missing = sorted(name for name in self._tables if name not in self._whole)
        found = {"directory": f"It was not published yet: {', '.join(missing)}."} if missing else {}
        return found | self._background.problems()

    async def wait_loaded(self) -> None:
        """Return when all tables were read once."""
        await self._loaded.wait()

    async def catch_up(self) -> None:
        """Return when this copy has what Redis had at the call: for one who misses what may have been published just now.

        Gives up, with what there is, when Redis does not answer or a change does not arrive within a second.
        """
        with contextlib.suppress(TimeoutError, redis.RedisError, OSError):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                newest = await self._ask()
                while self._version < newest:
                    await self._moved.wait()

    async def _ask(self) -> int:
        """The number of the last change, asked of Redis after this call: once for all who call while another asks."""
        before = self._asked
        async with self._asking:
            if self._asked == before:
                self._asked += 1
                self._newest = int(await self._client.get(keys.DIRECTORY_VERSION) or -1)
            return self._newest

    async def ready(self) -> Self:
        """Start with the first who asks, and return when all tables were read once."""
        if not self._started:
            await self.start()
        await self.wait_loaded()
        return self

    async def soon(self) -> Self:
        """As `ready`, for who must not wait for long. Raises `Unavailable` where Redis does not answer; the start goes on."""
        try:
            async with asyncio.timeout(START_PATIENCE):
                return await self.ready()
        except TimeoutError:
            raise Unavailable("This process is starting, and Redis does not answer it yet.", retry_after=2) from None

    async def start(self) -> None:
        self._started = True
        self._background.run("directory", self._subscription.run)
        self._background.run("directory changes", self._apply_what_comes)
        self._background.run("directory numbers", self._compare)

    async def stop(self) -> None:
        await self._background.stop()
        await self._client.aclose()

    def _hear(self, channel: bytes, data: bytes) -> None:
        """Changes are applied in their order, and not while all is being loaded."""
        del channel
        self._told.append(data)
        self._arrived.set()

    async def _begin_anew(self) -> None:
        """The subscription is new, and what was published before it was not told."""
        async with self._taking:
            await self._load()

    async def _apply_what_comes(self) -> None:
        while True:
            if not self._told:
                self._arrived.clear()
                await self._arrived.wait()
            async with self._taking:
                while self._told:
                    try:
                        await self._apply(self._told.popleft())
                    except (redis.RedisError, OSError) as error:
                        # The next comparison of the numbers loads what is missing.
                        log.warning("directory_not_loaded", error=type(error).__name__)

    async def _compare(self) -> None:
        """Each second: whether a change was missed without a later one that shows it."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                newest = await self._ask()
                if newest != self._version:
                    async with self._taking:
                        if newest != self._version:
                            await self._load()
            except (redis.RedisError, OSError) as error:
                self._background.down("directory numbers", f"Redis does not tell them: {type(error).__name__}.")
            else:
                self._background.up("directory numbers")

    async def _apply(self, data: bytes) -> None:
        number, _, body = data.partition(b" ")
        try:
            version, change = int(number), decode_change(body)
        except (ValueError, msgspec.MsgspecError):
            log.warning("directory_message_refused")
            await self._load()
            return
        is_next = version == self._version + 1
        if is_next:
            self._reach(version)
        elif version > self._version:
            log.info("directory_gap", known=self._version, told=version)
            await self._load()
        # In a table that Redis lost, deletions are only to be had from the messages: each counts, in its order.
        if is_next or change.table in self._incomplete:
            self._change(change)

    def _change(self, change: TableChange) -> None:
        if change.table not in self._tables:
            return
        table = self._tables[change.table]
        for field, value in change.set.items():
            self._decode_into(table, change.table, field, value)
        for field in change.delete:
            table.pop(field, None)
        self._tell(change.table, frozenset({*change.set, *change.delete}))

    async def _load(self) -> None:
        """Take over every table as Redis has it, in one consistent read."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.get(keys.DIRECTORY_VERSION)
            for name in self._tables:
                pipe.hgetall(keys.directory(name))
            version, *hashes = await pipe.execute()
        self._reach(int(version or -1))
        for name, fields in zip(list(self._tables), hashes, strict=True):
            complete = fields.pop(_MARK, b"").startswith(b"=")
            before = self._tables[name]
            # A table that Redis lost has only what was published since: that goes on top of what we remember.
            fresh = {} if complete else dict(before)
            for field, value in fields.items():
                self._decode_into(fresh, name, field.decode(), value)
            self._tables[name] = fresh
            self._whole |= {name} if complete else frozenset()
            self._incomplete = self._incomplete - {name} if complete else self._incomplete | {name}
            self._tell(name, frozenset(f for f in before.keys() | fresh.keys() if before.get(f) != fresh.get(f)))
        self._loaded.set()

    def _reach(self, version: int) -> None:
        """Those who wait for it go on when the changes are in the tables: after the caller's next ``await``."""
        self._version = version
        self._moved.set()
        self._moved = asyncio.Event()

    def _decode_into(self, table: dict[str, Any], name: str, field: str, value: bytes) -> None:
        try:
            table[field] = self._decoders[name](value)
        except (ValueError, msgspec.MsgspecError) as error:
            table.pop(field, None)
            log.warning("directory_value_refused", table=name, field=field, error=str(error))

    def _tell(self, table: str, fields: frozenset[str]) -> None:
        if not fields:
            return
        for callback in self._callbacks:
            try:
                callback(table, fields)
            except Exception:  # a listener's fault must not stop revocations from arriving
                log.exception("directory_callback_failed", table=table)
