"""Usage records as gateways send them, written as the product writes them."""

from __future__ import annotations

import datetime
import time
import uuid
from typing import Any

from ollamamax.contract import UsageRecord as Wire
from ollamamax.contract import encode_usage
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions import usage as actions
from ollamamax.metering.models import UsageRecord


def wire(tenant: Tenant, **changes: Any) -> bytes:
    record: dict[str, Any] = {
        "request": new_id(),
        "tenant": tenant.id.hex,
        "key": new_id(),
        "model": "echo:latest",
        "version": "sha256:" + "ab" * 32,
        "node": new_id(),
        "node_name": "gpu-1",
        "api": "/api/chat",
        "trace": "c" * 32,
        "received_at": time.time(),
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "queue_ms": 1.0,
        "first_token_ms": None,
        "duration_ms": 20.0,
        "outcome": "ok",
    }
    return encode_usage(Wire(**{**record, **{name: _told(value) for name, value in changes.items()}}))


def written(tenant: Tenant, **changes: Any) -> UsageRecord:
    """The row of one more request. Ids and times as they are in Python will do."""
    request = changes.setdefault("request", uuid.UUID(new_id()))
    actions.insert([wire(tenant, **changes)])
    with every_tenant():
        return UsageRecord.objects.get(request=request)


def _told(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return value.hex
    return value.timestamp() if isinstance(value, datetime.datetime) else value
