"""What the pool of connections to Postgres says of itself, asked when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg_pool import ConnectionPool

from ollamamax.observability.instruments import Sample, ask_at_scrape


def _pools() -> Iterator[tuple[str, list[Sample]]]:
    """None in a process that has not asked for a connection yet. Does not query."""
    pools: dict[str, ConnectionPool] = DatabaseWrapper._connection_pools  # type: ignore[attr-defined] # the stubs leave it out
    pool = pools.get("default")
    if pool is None:
        return
    told = pool.get_stats()
    for name, value in (
        ("ollamamax_postgres_pool_connections", told.get("pool_size", 0)),
        ("ollamamax_postgres_pool_available", told.get("pool_available", 0)),
        ("ollamamax_postgres_pool_waiting", told.get("requests_waiting", 0)),
        ("ollamamax_postgres_pool_wait_seconds_total", told.get("requests_wait_ms", 0) / 1000),
        ("ollamamax_postgres_pool_failures_total", told.get("requests_errors", 0)),
    ):
        yield name, [((), float(value))]


ask_at_scrape(_pools)
