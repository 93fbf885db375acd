"""Fields of what the data plane tells, as the rest of the API shows them."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from rest_framework import serializers


class UnixMoment(serializers.DateTimeField):
    """Unix seconds, shown as the rest of the API shows times."""

    def to_representation(self, value: Any) -> str:
        return str(super().to_representation(datetime.datetime.fromtimestamp(value, datetime.UTC)))


class AnyId(serializers.UUIDField):
    """In Redis ids have no hyphens, in Postgres they are UUIDs; here they always have their hyphens."""

    def to_representation(self, value: Any) -> str:
        return str(uuid.UUID(str(value)))
