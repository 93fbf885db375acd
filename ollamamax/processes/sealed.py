"""All that lies in the secret box, and how it is sealed anew with the newest key, so that older keys can be taken out of the ring.

The only place that knows every context's sealed columns: one that is not here would be lost with the old key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models, transaction

from ollamamax import logs
from ollamamax.audit import personal
from ollamamax.audit.models import SubjectKey
from ollamamax.evaluations.models import Evaluation, EvaluationResult, EvaluationSuite
from ollamamax.identity.actions import idempotency
from ollamamax.identity.models import IdempotentAnswer, SigningKey, Tenant, TotpDevice
from ollamamax.identity.scope import every_tenant
from ollamamax.mail import actions as mail
from ollamamax.mail.models import OutgoingMail
from ollamamax.notifications.models import Webhook
from ollamamax.notifications.queries import webhook as webhooks
from ollamamax.responses.models import ConversationItem, KeptResponse
from ollamamax.secret_box import CannotOpen
from ollamamax.sso.models import ExternalSession, IdentityProvider, SamlAnswer, SamlSettings

_AT_ONCE = 100
_log = logs.get(__name__)


@dataclass(frozen=True)
class SealedColumns:
    """Of ``model``; ``place`` says what the column (by its name) of a row is sealed for. An empty value is none."""

    model: type[models.Model]
    columns: tuple[str, ...]
    place: Callable[[Any, str], str]


SEALED = (
    SealedColumns(KeptResponse, ("object", "input", "request"), lambda row, column: str(row.place(column))),
    SealedColumns(ConversationItem, ("item",), lambda row, _: str(row.place)),
    SealedColumns(EvaluationSuite, ("sealed_cases",), lambda row, _: str(row.place)),
    SealedColumns(Evaluation, ("sealed_cases",), lambda row, _: str(row.place)),
    SealedColumns(EvaluationResult, ("sealed_outcome",), lambda row, _: str(row.place)),
    SealedColumns(Webhook, ("secret", "previous_secret"), lambda row, _: webhooks.place_of(row.pk)),
    SealedColumns(IdentityProvider, ("sealed_secret",), lambda row, _: str(row.place)),
    SealedColumns(ExternalSession, ("sealed_token",), lambda row, _: str(row.place)),
    SealedColumns(SamlSettings, ("sealed_key",), lambda row, _: str(row.place)),
    SealedColumns(SamlAnswer, ("sealed",), lambda row, _: str(row.place)),
    SealedColumns(OutgoingMail, ("letter",), lambda row, _: mail.place_of(row.pk)),
    SealedColumns(SigningKey, ("sealed_private",), lambda row, _: str(row.place)),
    SealedColumns(Tenant, ("sealed_prompt_key",), lambda row, _: str(row.prompt_place)),
    SealedColumns(SubjectKey, ("key",), lambda row, _: personal.place_of(row.pk)),
    SealedColumns(TotpDevice, ("sealed_secret",), lambda row, _: str(row.place)),
    SealedColumns(IdempotentAnswer, ("answer",), lambda row, _: idempotency.place_of(row.pk)),
)


@dataclass(frozen=True)
class Resealed:
    """Rows that were ``sealed`` anew, and ``lost`` values, which no key of the ring opens."""

    sealed: int = 0
    lost: int = 0


def reseal() -> Resealed:
    """A few rows in a transaction, each under its lock. Safe to repeat."""
    done = Resealed()
    with every_tenant():
        for each in SEALED:
            found = _reseal(each)
            done = Resealed(done.sealed + found.sealed, done.lost + found.lost)
    return done


def _reseal(of: SealedColumns) -> Resealed:
    done, last = Resealed(), None
    while True:
        with transaction.atomic(durable=True):
            rows = of.model._base_manager.select_for_update().order_by("pk")
            some = list(rows.filter(pk__gt=last)[:_AT_ONCE] if last else rows[:_AT_ONCE])
            for row in some:
                new, lost = _sealed_anew(of, row)
                done = dataclasses.replace(done, lost=done.lost + lost)
                if new:
                    of.model._base_manager.filter(pk=row.pk).update(**new)
                    done = dataclasses.replace(done, sealed=done.sealed + 1)
        if len(some) < _AT_ONCE:
            return done
        last = some[-1].pk


def _sealed_anew(of: SealedColumns, row: models.Model) -> tuple[dict[str, bytes], int]:
    """The row's values that an older key sealed, by the newest one; and how many there are that nobody can open."""
    box, new, lost = settings.SECRET_BOX, {}, 0
    for column in of.columns:
        value = bytes(getattr(row, column) or b"")
        if not value or box.is_current(value):
            continue
        place = of.place(row, column)
        try:
            new[column] = box.seal(box.open(value, place), place)
        except CannotOpen:
            lost += 1
            _log.warning("sealed_value_lost", table=of.model._meta.db_table, row=str(row.pk), column=column)
    return new, lost
