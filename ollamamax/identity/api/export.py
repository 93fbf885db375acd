"""Files that are written while they are sent: CSV for spreadsheets, JSON Lines for programs. No row waits for the last one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal, cast

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from ollamamax.identity.scope import tenant_scope

Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl")
Lines = Callable[["Row"], str]
"""A row as one line of another format."""
PAGE = 1000
"""Rows that are read at once."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - as spreadsheets take them
_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
Row = dict[str, Any]


class Streamed(StreamingHttpResponse):
    """A file of which each part is made when the one before was sent."""

    def __init__(self, parts: Iterator[bytes], name: str, content_type: str) -> None:
        super().__init__(parts, content_type=content_type)
        self["Content-Disposition"] = f'attachment; filename="{name}"'
        self["Cache-Control"] = "no-store"
        self["X-Content-Type-Options"] = "nosniff"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Django would gather what an ordinary iterator gives before it sent any."""
        parts = iter(cast("Iterator[bytes]", self.streaming_content))
        while (part := await sync_to_async(_next)(parts)) is not None:
            yield part


class Export(Streamed):
    """``pages`` gives the rows after the last one of a page, and none at the end; each page is read in the tenant's scope, and no
    scope is open while a client takes its time."""

    def __init__(
        self,
        name: str,
        form: Format,
        columns: Sequence[str],
        pages: Callable[[Row | None], list[Row]],
        tenant: str,
        lines: Lines | None = None,
    ) -> None:
        """``lines`` writes rows in the place of ``form``; ``name`` then has the ending of its format."""
        written = _written(form, columns, pages, tenant, lines)
        whole = f"{name}.{form}" if lines is None else name
        super().__init__(written, whole, _TYPES[form] if lines is None else "text/plain; charset=utf-8")


class Unnegotiated(DefaultContentNegotiation):
    """For views whose answer is a file, and whose problems are JSON, whatever a client says that it accepts."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)


def _written(
    form: Format,
    columns: Sequence[str],
    pages: Callable[[Row | None], list[Row]],
    tenant: str,
    lines: Lines | None,
) -> Iterator[bytes]:
    if lines is None and form == "csv":
        yield csv_line(columns)
    last: Row | None = None
    while True:
        with tenant_scope(tenant):
            rows = pages(last)
        if not rows:
            return
        last = rows[-1]
        if lines is not None:
            yield b"".join([lines(row).encode() + b"\n" for row in rows])
        elif form == "csv":
            yield b"".join([csv_line([row.get(name) for name in columns]) for row in rows])
        else:
            shown = [{name: row.get(name) for name in columns} for row in rows]
            yield b"".join([JSONRenderer().render(row) + b"\n" for row in shown])


def csv_line(values: Sequence[Any]) -> bytes:
    """One line (RFC 4180). What a spreadsheet would take for a formula is made text by an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
