"""Registers the public key of somebody's Ollama for an API key, and forgets it."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction

from models_registry.models import ClientKey
from ollamamax.audit.actions import record
from ollamamax.identity.rights import require_somewhere
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, NotFound
from ollamamax.kernel.principal import Principal, system

MOST_OF_KEY = 20


def register_client_key(*, acting: Principal, public_key: str) -> None:
    """Let who has the other half of it do what this API key may; the caller saw the proof that this is who asks. Repeated, nothing happens.

    It stands for this API key alone from now on, whichever it stood for before. Raises `Forbidden` for who is no key, and `Conflict` for too many.
    """
    tenant = _tenant(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        mine = ClientKey.objects.filter(key_id=uuid.UUID(acting.id))
        if mine.filter(public_key=public_key).exists():
            return
        if mine.count() >= MOST_OF_KEY:
            raise Conflict(f"This API key stands for {MOST_OF_KEY} public keys, as many as it may.")
        _take_from_others(acting, public_key)
        try:
            with transaction.atomic():
                ClientKey.objects.create(tenant_id=tenant, key_id=uuid.UUID(acting.id), public_key=public_key)
        except IntegrityError:
            raise Conflict(
                "This public key was registered for another API key at this moment: send it again."
            ) from None
        record(
            acting=acting,
            action="key.register_client",
            target_type="key",
            target_id=acting.id,
            tenant=tenant,
            detail={"public_key": public_key},
        )


def _take_from_others(acting: Principal, public_key: str) -> None:
    """Whoever proved that the key pair is theirs decides what it stands for: nobody else keeps it, of another tenant neither."""
    with every_tenant():
        held = ClientKey.objects.select_for_update().filter(public_key=public_key).first()
        if held is None:
            return
        held.delete()
    with tenant_scope(held.tenant_id):
        same = held.tenant_id.hex == acting.tenant
        record(
            acting=acting if same else system("models_registry.client_key", held.tenant_id.hex),
            action="key.forget_client",
            target_type="key",
            target_id=held.key_id,
            tenant=held.tenant_id,
            detail={"public_key": public_key, "why": "Who has its private half registered it for another API key."},
        )


def forget_client_key(*, acting: Principal, public_key: str) -> None:
    """Raises `Forbidden` for who is no key, and `NotFound` for a public key that does not stand for this one."""
    tenant = _tenant(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        gone, _ = ClientKey.objects.filter(key_id=uuid.UUID(acting.id), public_key=public_key).delete()
        if not gone:
            raise NotFound("This public key does not stand for this API key.")
        record(
            acting=acting,
            action="key.forget_client",
            target_type="key",
            target_id=acting.id,
            tenant=tenant,
            detail={"public_key": public_key},
        )


def _tenant(acting: Principal) -> uuid.UUID:
    if acting.kind != "key":
        raise Forbidden("A public key stands for an API key.")
    return require_somewhere(acting, "model.view")
