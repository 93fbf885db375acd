"""How the limits of a tenant or a key are taken over, by the actions on either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollamamax.identity.models.limits import LIMITS, MOST, Limited
from ollamamax.kernel.errors import InvalidRequest

Given = Mapping[str, int | None]
"""Names as in `LIMITS`; one that is left out stays as it is, ``None`` takes the limit away."""


def checked(given: Given) -> dict[str, int | None]:
    """Raises `InvalidRequest` for a limit that is none."""
    for name, limit in given.items():
        if name not in LIMITS:
            raise InvalidRequest(f"There is no limit '{name}'.", param="limits")
        if limit is not None and not 1 <= limit <= MOST:
            raise InvalidRequest(f"{name} is between 1 and {MOST}, or null for no limit.", param="limits")
    return dict(given)


class Change(dict[str, Any]):
    """What fields of a row became, by their names; ``before`` has what they were. Empty where none differs."""

    def __init__(self, after: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        super().__init__(after)
        self.before = dict(before)

    def detail(self) -> dict[str, Any]:
        """For the audit record: what the fields became, and under ``before`` what they were."""
        return {**self, "before": self.before}


def take_over(row: Limited | Any, values: Mapping[str, Any]) -> Change:
    """Set the fields that differ, unsaved; returns those, for ``update_fields`` and the audit record."""
    after = {name: value for name, value in values.items() if getattr(row, name) != value}
    before = {name: getattr(row, name) for name in after}
    for name, value in after.items():
        setattr(row, name, value)
    return Change(after, before)
