"""Seals what lies in the secret box anew, with the newest key, so that older keys can be taken out of the ring."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import transaction

from ollamamax.identity.scope import every_tenant
from ollamamax.responses.models import ConversationItem, KeptResponse

_AT_ONCE = 100
_FIELDS = ("object", "input", "request")


def reseal() -> int:
    """A few rows in a transaction, each under its lock. Returns how many rows were sealed anew. Raises `CannotOpen`."""
    with every_tenant():
        return sum(_reseal_responses()) + sum(_reseal_items())


def _reseal_responses() -> Iterator[int]:
    last = None
    while True:
        with transaction.atomic(durable=True):
            rows = KeptResponse.objects.select_for_update().order_by("pk")
            some = list(rows.filter(pk__gt=last)[:_AT_ONCE] if last else rows[:_AT_ONCE])
            for row in some:
                old = {name: bytes(value) for name in _FIELDS if (value := getattr(row, name)) is not None}
                new = {name: _sealed_anew(value, row.place(name)) for name, value in old.items()}
                if new != old:
                    KeptResponse.objects.filter(pk=row.pk).update(**new)
                    yield 1
        if len(some) < _AT_ONCE:
            return
        last = some[-1].pk


def _reseal_items() -> Iterator[int]:
    last = None
    while True:
        with transaction.atomic(durable=True):
            rows = ConversationItem.objects.select_for_update().order_by("pk")
            some = list(rows.filter(pk__gt=last)[:_AT_ONCE] if last else rows[:_AT_ONCE])
            for row in some:
                old = bytes(row.item)
                new = _sealed_anew(old, row.place)
                if new != old:
                    ConversationItem.objects.filter(pk=row.pk).update(item=new)
                    yield 1
        if len(some) < _AT_ONCE:
            return
        last = some[-1].pk


def _sealed_anew(value: bytes, place: str) -> bytes:
    box = settings.SECRET_BOX
    found: bytes = value if box.is_current(value) else box.seal(box.open(value, place), place)
    return found
