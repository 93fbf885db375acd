"""Which requests are traced, decided when they have ended: then it is known whether they failed or were slow. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_RANDOM_DIGITS = 14
"""Of a trace's 32 hexadecimal digits the last, which are random in every trace (W3C Trace Context, level 2)."""


@dataclass(frozen=True)
class TraceSampling:
    """``share`` of all requests, or of a tenant's where ``of_tenant`` says so; and all that failed, or took ``slow`` seconds to their first output."""

    share: float
    slow: float
    of_tenant: Mapping[str, float] = field(default_factory=dict)

    def takes(self, *, trace: str, tenant: str, failed: bool, seconds: float, wanted: bool = True) -> bool:
        """``trace``: the 32 digits of its trace, by which every process decides alike. ``wanted``: ``False`` where its client said that it is not traced there."""
        if failed or seconds >= self.slow:
            return True
        share = self.of_tenant.get(tenant, self.share)
        return wanted and share > 0.0 and int(trace[-_RANDOM_DIGITS:], 16) < share * 16**_RANDOM_DIGITS
