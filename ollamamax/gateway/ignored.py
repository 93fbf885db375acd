"""Where the gateway finds what it tells of fields that change nothing."""

from __future__ import annotations

from ollamamax.contract.ignored import HEADER as HEADER
from ollamamax.contract.ignored import Ignored as Ignored
