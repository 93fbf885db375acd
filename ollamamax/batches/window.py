"""The completion window of a batch: OpenAI's ``24h``, and other spans in the same form. Pure."""

from __future__ import annotations

import datetime
import re

from ollamamax.kernel.errors import InvalidRequest

_FORM = re.compile(r"([1-9][0-9]{0,3})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST = datetime.timedelta(days=14)


def span(text: str) -> datetime.timedelta:
    """Raises `InvalidRequest` for what is no span of up to 14 days."""
    found = _FORM.fullmatch(text)
    length = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if length is None or length > LONGEST:
        raise InvalidRequest(
            "'completion_window' is a span such as '24h', '90m' or '7d', of 14 days at most.", param="completion_window"
        )
    return length
