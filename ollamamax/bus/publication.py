"""After commit, publish: the one way from Postgres into the directory of every region.

A context says once how the entries of its table are read (`answers`). An action notes in its transaction which fields it may have changed
(`publish_on_commit`); when the transaction is committed they are read again and published, and whatever does not get through stays noted, for
the loop (`publish_noted`). `repair` compares whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import redis
from django.db import transaction
from django.db.models import Min
from django.db.models.functions import Now

from ollamamax import logs
from ollamamax.bus import directory, regions
from ollamamax.bus.models import Unpublished
from ollamamax.bus.regions import Region
from ollamamax.contract.tables import Table

T = TypeVar("T")
Fields = Collection[str] | None
"""Some fields of a table; ``None`` for all of them."""
Load = Callable[[Fields], Mapping[str, T]]
"""The entries of those fields as Postgres has them now; what is no more, or must not be published, is left out. Queries."""

BATCH = 500
_log = logs.get(__name__)
_tables: dict[str, tuple[Table[Any], Load[Any]]] = {}


def answers(table: Table[T], load: Load[T]) -> None:
    """``load`` knows the truth of ``table``. Called when the module that owns the table is imported."""
    _tables[table.name] = (table, load)


def publish_on_commit(table: Table[Any], fields: Iterable[str]) -> None:
    """Note that these fields may have changed; after the commit, publish what they are then. In a transaction.

    Returns to the caller of the transaction when the regions that can be reached were told. Queries: 1, and 1 after the commit besides
    those of the table's own question.
    """
    wanted = list(dict.fromkeys(fields))
    if not wanted:
        return
    noted = Unpublished.objects.bulk_create(
        [
            Unpublished(region=region.name, table=table.name, field=field)
            for region in regions.every()
            for field in wanted
        ]
    )
    transaction.on_commit(lambda: _publish(noted), robust=True)


def publish_noted(region: Region, *, most: int = 10_000) -> int:
    """Publish what is noted for the region and was not told by who noted it. Returns how many notes there were. Raises `RedisError`."""
    noted = list(Unpublished.objects.filter(region=region.name).order_by("id")[:most])
    _publish_in(region, noted)
    return len(noted)


def repair(region: Region, table: str) -> int:
    """Compare a whole table with Postgres and publish the differences. Returns how many there were. Raises `RedisError`."""
    known, load = _tables[table]
    return directory.reconcile(region.client, table, lambda: _encoded(known, load(None)))


def repair_lost(region: Region) -> list[str]:
    """Publish those tables whole that the region does not have, or not wholly: Redis lost them, or is new. Raises `RedisError`."""
    lost = directory.incomplete(region.client, _tables)
    for table in lost:
        repair(region, table)
    return lost


def publish_all(region: Region) -> None:
    """Compare every table. Raises `RedisError`."""
    for table in _tables:
        repair(region, table)


def tables() -> list[str]:
    return list(_tables)


def behind(region: Region) -> float:
    """For how many seconds the oldest thing has waited that the region was not told; 0.0 when it was told everything. One query."""
    found = Unpublished.objects.filter(region=region.name).aggregate(waited=Now() - Min("since"))["waited"]
    return 0.0 if found is None else max(0.0, found.total_seconds())


def _publish(noted: list[Unpublished]) -> None:
    for region in regions.every():
        try:
            _publish_in(region, [note for note in noted if note.region == region.name])
        except redis.RedisError as error:
            # The loop does it when the region can be reached again.
            _log.warning("not_published_yet", region=region.name, notes=len(noted), error=type(error).__name__)


def _publish_in(region: Region, noted: list[Unpublished]) -> None:
    by_table: dict[str, list[Unpublished]] = {}
    for note in noted:
        by_table.setdefault(note.table, []).append(note)
    for name, notes in by_table.items():
        if name not in _tables:
            continue  # of another version of this program, which will publish it
        table, load = _tables[name]
        for start in range(0, len(notes), BATCH):
            some = notes[start : start + BATCH]
            fields = list(dict.fromkeys(note.field for note in some))
            if directory.publish_read(region.client, name, fields, lambda: _encoded(table, load(fields))):  # noqa: B023
                Unpublished.objects.filter(pk__in=[note.pk for note in some]).delete()


def _encoded(table: Table[T], entries: Mapping[str, T]) -> dict[str, bytes]:
    return {field: table.encode(entry) for field, entry in entries.items()}
