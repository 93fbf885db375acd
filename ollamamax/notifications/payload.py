"""What a webhook is sent: one form for all events, in JSON, without any secret. Pure."""

from __future__ import annotations

import datetime
from typing import Literal

import msgspec

from ollamamax.contract.health import Severity, Value

SubjectKind = Literal["fleet", "node", "model"]


class Actor(msgspec.Struct):
    kind: str
    id: str
    name: str


class AuditTarget(msgspec.Struct):
    type: str
    id: str


class AuditData(msgspec.Struct):
    """Of an action: ``seq`` is the number of its audit record, ``detail`` what that says besides."""

    seq: int
    actor: Actor
    target: AuditTarget
    request: str
    detail: dict[str, object]


class HealthSubject(msgspec.Struct):
    """``id`` is empty for the fleet as a whole; ``region`` where there is only one."""

    kind: SubjectKind
    id: str
    name: str
    region: str


class HealthData(msgspec.Struct):
    """Of a finding; ``since`` in UTC. One that is closed has the words that it had last."""

    subject: HealthSubject
    code: str
    severity: Severity
    text: str
    since: datetime.datetime
    values: dict[str, Value]


class TestData(msgspec.Struct):
    message: str


class Payload(msgspec.Struct):
    """The body. ``tenant`` is ``null`` for what belongs to the installation. The header ``webhook-id`` names the event."""

    type: str
    timestamp: datetime.datetime
    tenant: str | None
    data: AuditData | HealthData | TestData


class _Encodable(msgspec.Struct):
    type: str
    timestamp: datetime.datetime
    tenant: str | None
    data: object


def encoded(payload: Payload) -> bytes:
    return msgspec.json.encode(_Encodable(payload.type, payload.timestamp, payload.tenant, payload.data))
