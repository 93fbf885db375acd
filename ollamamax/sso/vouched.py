"""Whom an identity provider vouches for, whatever it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Vouched:
    """``claims`` are about the person; ``sid`` names the provider's session, and ``hint`` is what it is told of that at log-out: an ID
    token, or a NameID in JSON."""

    subject: str
    claims: Mapping[str, Any]
    sid: str = ""
    hint: str = ""
