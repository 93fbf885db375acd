"""What a node may say, in numbers: the bounds of every message that a node writes. A node is hostile until proved otherwise.

msgspec checks them while it decodes, so that they cost next to nothing, and only then: what this program makes itself is not looked at.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MOST_STATE_BYTES = 1 << 20
MOST_BRIEF_BYTES = 1024
MOST_ORDER_BYTES = 256 << 10
MOST_DONE_BYTES = 4096
MOST_FRAMES_BYTES = 64 << 20
"""Embeddings of a full request in one message; anything else is far smaller."""
USUAL_FRAMES_BYTES = 512 << 10
"""Up to here frames are decoded at once; larger ones piece by piece, because a byte of MessagePack can become 64 of memory."""
MOST_MODELS = 1000
MOST_CAPACITY = 10_000
MOST_TOKENS = 1 << 24
"""Of one request: above every context there is."""
MOST_MESSAGE = 10_000
"""Characters of an error's text."""

LARGEST = (1 << 63) - 1
"""What Postgres can hold as a whole number."""
END_OF_TIME = 4_102_444_800.0
"""The year 2100 in Unix seconds: later than that nothing happened."""
LONGEST_MS = 1e10
"""Four months."""


def told(text: str, most: int = MOST_MESSAGE) -> str:
    """A text, such as an engine's, as it may be told: what is too much of it is cut off, what no column holds is left out."""
    return "".join(c if c != "\0" and not "\ud800" <= c <= "\udfff" else "?" for c in text[:most])


_LINE = r"\A[^\x00-\x1f\x7f]*\Z"
_TEXT = r"\A[^\x00]*\Z"

Id = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Digest = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
Token = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]{1,64}\Z")]
"""A word for programs, such as an error's code: it may stand in a header or in a column."""
Word = Annotated[str, Meta(max_length=50, pattern=_LINE)]
Name = Annotated[str, Meta(max_length=400, pattern=_LINE)]
Text = Annotated[str, Meta(max_length=MOST_MESSAGE, pattern=_TEXT)]

Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Few = Annotated[int, Meta(ge=0, le=1_000_000)]
Capacity = Annotated[int, Meta(ge=1, le=MOST_CAPACITY)]
Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
Status = Annotated[int, Meta(ge=400, le=599)]
Time = Annotated[float, Meta(ge=0.0, le=END_OF_TIME)]
Milliseconds = Annotated[float, Meta(ge=0.0, le=LONGEST_MS)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e7)]
Measure = Annotated[float, Meta(ge=-1e15, le=1e15)]
"""Any number that is one: both bounds keep NaN out."""
