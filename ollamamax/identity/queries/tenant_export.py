"""Reads of what a tenant takes with it: the files of its export, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollamamax.audit.actions import chain_of
from ollamamax.audit.personal import opened_rows
from ollamamax.audit.queries import FIELDS, records_after
from ollamamax.identity.departure import EXPORTS, ExportedRows
from ollamamax.identity.scope import tenant_scope

PAGE = 1000
"""Rows that are read at once."""
AUDIT = "audit"
Row = dict[str, Any]


def files_of(tenant: str) -> Iterator[tuple[str, Iterator[list[Row]]]]:
    """The name of each file and its pages, by their ids. Each page is read in the tenant's scope, and none is open in between. Queries: 1 a page."""
    for each in sorted(EXPORTS, key=lambda found: found.name):
        yield each.name, _pages(each, tenant)
    yield AUDIT, _records(tenant)


def _pages(found: ExportedRows, tenant: str) -> Iterator[list[Row]]:
    last: Any = None
    while True:
        with tenant_scope(tenant):
            rows = found.rows().order_by("pk")
            later = rows if last is None else rows.filter(pk__gt=last)
            page = list(later.values("pk", *found.columns.values())[:PAGE])
        if not page:
            return
        last = page[-1]["pk"]
        yield [{name: row[path] for name, path in found.columns.items()} for row in page]


def _records(tenant: str) -> Iterator[list[Row]]:
    """The trail, what is personal opened; with the hashes, which are over what was sealed."""
    last = 0
    while page := opened_rows(records_after(chain_of(tenant), last).values(*FIELDS)[:PAGE]):
        last = page[-1]["seq"]
        yield page
