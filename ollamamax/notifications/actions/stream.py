"""Writes of audit streams, by people and keys of their tenant."""

from __future__ import annotations

import ssl
import uuid
from typing import Any

from django.conf import settings
from django.db import transaction

from ollamamax.audit.actions import SYSTEM, chain_of, record
from ollamamax.audit.queries import head_numbers
from ollamamax.identity.rights import require, require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.notifications.models import AuditStream
from ollamamax.outbound.addresses import OutboundRefused, checked_url

MANAGE, SEE = "audit.manage", "audit.view"
MOST = 10
TOLD = ("name", "host", "port", "form", "enabled", "answered")


def create_stream(
    *,
    acting: Principal,
    name: str,
    host: str,
    port: int = 6514,
    form: str = "json",
    chain: str = "tenant",
    authority: str = "",
    answered: bool = True,
    from_start: bool = False,
) -> AuditStream:
    """From now on, or ``from_start`` of what is kept. ``chain`` is ``tenant`` or ``system``.

    Raises `Forbidden` also for who may not read that chain, `InvalidRequest` for an address that may not be spoken to or an authority that is
    none, and `Conflict` for one too many or a name that is taken.
    """
    tenant = _allowed(acting, chain)
    _check(host, port, authority)
    found = SYSTEM if chain == SYSTEM else chain_of(tenant)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        if AuditStream.objects.count() >= MOST:
            raise Conflict(f"There are {MOST} streams of the audit trail already: delete some.")
        _require_free(name)
        stream = AuditStream.objects.create(
            tenant_id=tenant, chain=found, name=name.strip(), host=host, port=port, form=form, authority=authority,
            answered=answered, enabled=True, missed=0, failures=0, seq=0 if from_start else head_numbers([found]).get(found, 0),
        )  # fmt: skip
        record(
            acting=acting,
            action="audit.create_stream",
            target_type="audit_stream",
            target_id=stream.pk,
            tenant=tenant,
            detail={each: getattr(stream, each) for each in TOLD} | {"chain": found},
        )
    return stream


def change_stream(*, acting: Principal, stream_id: uuid.UUID, **given: Any) -> AuditStream:
    """Any of name, host, port, form, authority, answered and enabled; what is left out stays, and so does how far it is.

    Raises as `create_stream` does, and `NotFound`.
    """
    tenant = require_in_tenant(acting, MANAGE)
    require(acting, SEE)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        stream = _locked(acting, stream_id)
        changed = {name: value for name, value in given.items() if getattr(stream, name) != value}
        if not changed:
            return stream
        if "name" in changed:
            _require_free(changed["name"])
        before = {name: getattr(stream, name) for name in changed if name in TOLD}
        for name, value in changed.items():
            setattr(stream, name, value)
        _check(stream.host, stream.port, stream.authority)
        # Whatever it was that failed may be mended by this; who is at it finds that it is theirs no more.
        stream.failures, stream.error, stream.failing_since, stream.wait_until = 0, "", None, None
        stream.runner, stream.lease_until = "", None
        stream.save()
        now = {name: getattr(stream, name) for name in before}
        record(
            acting=acting,
            action="audit.change_stream",
            target_type="audit_stream",
            target_id=stream.pk,
            tenant=tenant,
            detail=now | {"before": before, "fields": sorted(changed)},
        )
    return stream


def delete_stream(*, acting: Principal, stream_id: uuid.UUID) -> None:
    """Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, MANAGE)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        stream = _locked(acting, stream_id)
        told = {"name": stream.name, "host": stream.host, "seq": stream.seq}
        stream.delete()
        record(
            acting=acting,
            action="audit.delete_stream",
            target_type="audit_stream",
            target_id=stream_id,
            tenant=tenant,
            detail=told,
        )


def _allowed(acting: Principal, chain: str) -> uuid.UUID:
    tenant = require_in_tenant(acting, MANAGE)
    require(acting, SEE)
    if chain == SYSTEM:
        require(acting, "tenant.manage")
    return tenant


def _locked(acting: Principal, stream_id: uuid.UUID) -> AuditStream:
    found = AuditStream.objects.select_for_update().filter(pk=stream_id).first()
    if found is None:
        raise NotFound("There is no such stream.")
    if found.chain == SYSTEM:
        require(acting, "tenant.manage")
    return found


def _require_free(name: str) -> None:
    if AuditStream.objects.filter(name=name.strip()).exists():
        raise Conflict("There is a stream of this name already.")


def _check(host: str, port: int, authority: str) -> None:
    if not 1 <= port <= 65535:
        raise InvalidRequest("A port is 1 to 65535.", param="port")
    try:
        parts = checked_url(
            f"https://[{host}]:{port}/" if ":" in host else f"https://{host}:{port}/", settings.OUTBOUND_RULES
        )
    except OutboundRefused as error:
        raise InvalidRequest(str(error), param="host") from error
    if (parts.hostname, parts.port, parts.path) != (host.lower(), port, "/") or parts.query or parts.fragment:
        raise InvalidRequest("This is no name of a host.", param="host")
    if authority:
        try:
            ssl.create_default_context(cadata=authority)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidRequest("This is no certificate in PEM.", param="authority") from error
