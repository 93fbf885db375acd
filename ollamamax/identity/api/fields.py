"""Fields of requests that the framework reads too generously."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Number(serializers.FloatField):
    """A number of JSON's (RFC 8259, section 6): no text or truth value that could be read as one."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)
