"""What the directory of a test holds before anybody publishes to it."""

from __future__ import annotations

from collections.abc import Collection

import redis

from ollamamax.bus import directory
from ollamamax.contract.tables import ALL


def publish_empty(client: redis.Redis, *, but: Collection[str] = ()) -> None:
    """Publish every table as whole and empty, but those named in ``but``: readers of a directory wait for all of them."""
    for table in ALL:
        if table.name not in but:
            directory.reconcile(client, table.name, dict)
