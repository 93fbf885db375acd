"""Finds a directory's users and groups by a SCIM filter: what an index knows is asked of the database, the rest is the library's to compare."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.db import models
from scim2_models import Resource, ScimFilter, SearchRequest, TooManyException
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    Not,
    ValuePath,
)

MOST_COMPARED = 5000
"""Rows that one search looks through, where no index narrows it."""
MOST_COMPARISONS = 50_000
"""Of all rows that one search looks through with all that its filter compares: about a second."""
Row = TypeVar("Row", bound=models.Model)

USERS: Mapping[str, str] = {
    "id": "id",
    "username": "user_name__iexact",
    "externalid": "external_id",
    "active": "active",
}
GROUPS: Mapping[str, str] = {"id": "id", "displayname": "display_name__iexact", "externalid": "external_id"}


def narrowed(rows: models.QuerySet[Row], node: FilterNode | None, columns: Mapping[str, str]) -> models.QuerySet[Row]:
    """At least the rows that can hold: of those terms that must all be true, each that compares a column with equality narrows them."""
    for term in _terms(node):
        found = _equality(term, columns)
        rows = rows if found is None else rows.filter(found)
    return rows


def found_in(
    rows: models.QuerySet[Row],
    request: SearchRequest[Any],
    model: type[Resource[Any]],
    columns: Mapping[str, str],
    made: Callable[[Row], Resource[Any]],
) -> list[Resource[Any]]:
    """All that the filter holds for. Raises `TooManyException` where more rows than are looked through at once could hold."""
    wanted = request.filter
    rows = narrowed(rows, None if wanted is None else wanted.ast, columns)
    most = min(MOST_COMPARED, MOST_COMPARISONS // (1 if wanted is None else comparisons(wanted.ast)))
    held = [made(row) for row in rows[: most + 1]]
    if len(held) > most:
        raise TooManyException(detail=f"Name an attribute that narrows this to {most}: {', '.join(columns)}.")
    if wanted is None:
        return held
    bound = ScimFilter[model](str(wanted))  # type: ignore[valid-type]
    return [each for each in held if bound.match(each)]


def comparisons(node: FilterNode) -> int:
    """How many a filter makes of one row at most, where its attributes have one value each."""
    found, left = 0, [node]
    while left:
        each = left.pop()
        if isinstance(each, LogicalExpr):
            left += each.terms
        elif isinstance(each, Not):
            left.append(each.expr)
        elif isinstance(each, ValuePath):
            left.append(each.val_filter)
        else:
            found += 1
    return found


def in_order(request: SearchRequest[Any], found: list[Resource[Any]]) -> list[Resource[Any]]:
    """As asked; what has no value comes last, and in the order it was made."""
    if request.sort_by is None:
        return found
    having = [(request.sort_value(each), each) for each in found]
    known = [(value, each) for value, each in having if value is not None]
    known.sort(key=lambda pair: pair[0], reverse=request.sort_order == SearchRequest.SortOrder.descending)
    return [each for _, each in known] + [each for value, each in having if value is None]


def _terms(node: FilterNode | None) -> Iterable[FilterNode]:
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        for term in node.terms:
            yield from _terms(term)
    elif node is not None:
        yield node


def _equality(node: FilterNode, columns: Mapping[str, str]) -> models.Q | None:
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq:
        return None
    column = columns.get(_name(node.attr_path))
    if column == "active":
        return models.Q(active=node.value) if isinstance(node.value, bool) else None
    if column is None or not isinstance(node.value, str) or "\0" in node.value:
        return None
    if column == "id":
        try:
            return models.Q(id=uuid.UUID(node.value))
        except ValueError:
            return models.Q(pk__in=())
    return models.Q(**{column: node.value})


def _name(path: AttrPath) -> str:
    return "" if path.sub_attr else path.attr.lower()
