"""`ollamamax reseal`: every column that the secret box seals is known to it, and one value that is lost keeps nothing else back."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models, transaction
from django.utils import timezone
from pytest_django import Settings

from ollamamax.audit import personal
from ollamamax.audit.models import AuditRecord, SubjectKey
from ollamamax.evaluations.actions.suite import create_suite
from ollamamax.evaluations.models import EvaluationSuite
from ollamamax.identity.actions import idempotency
from ollamamax.identity.actions.proof import secret_of
from ollamamax.identity.actions.second_factor import begin_totp
from ollamamax.identity.actions.tenant import change_own_tenant
from ollamamax.identity.models import IdempotentAnswer
from ollamamax.identity.scope import tenant_scope
from ollamamax.mail.actions import claim_mail, queue_mail
from ollamamax.mail.models import OutgoingMail
from ollamamax.mail.server import MailServer
from ollamamax.notifications.actions.webhook import create_webhook, rotate_webhook
from ollamamax.notifications.models import Webhook
from ollamamax.notifications.queries.webhook import secrets_of
from ollamamax.outbound.addresses import Rules
from ollamamax.processes.sealed import SEALED, reseal
from ollamamax.sealed_to import open_with, seal_to
from ollamamax.secret_box import SecretBox, derived_key
from ollamamax.sso.actions.provider import create_provider
from ollamamax.sso.queries.provider import client_of
from tests.cast import Person

NEAR = {"kind": "distance", "expected": "y"}
_MAIL = MailServer("127.0.0.1", 1, "none", "", "", "omx@mail.example")
pytestmark = pytest.mark.django_db(transaction=True)
OPEN = {
    "batches.Answer.line": "an answer of a batch, as its file shows it",
    "cluster.HistoryRow.packed": "numbers of nodes",
    "audit.SubjectKey.names": "sealed under the key beside it, which is sealed",
    "identity.Tenant.prompt_key": "the public half of a pair",
    "metering.KeptPrompt.sealed": "sealed to the public key of its tenant, whose private half is sealed",
    "identity.Passkey.credential_id": "which passkey it is",
    "identity.Passkey.public_key": "the public half of a pair",
    "models_registry.BlobPieces.hashes": "digests of the pieces of a file",
    "models_registry.Image.body": "a manifest, which whoever pulls is shown",
    "models_registry.MirroredImage.body": "a manifest of another registry, which it tells to whoever may pull",
}
"""Columns of bytes that are no secrets, and why."""


def test_every_column_of_bytes_is_sealed_anew_or_is_no_secret() -> None:
    found = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.BinaryField)
    }
    known = {f"{each.model._meta.label}.{column}" for each in SEALED for column in each.columns}
    assert found == known | OPEN.keys()


def test_what_every_context_sealed_is_opened_by_the_new_key_alone(owner: Person, settings: Settings) -> None:
    settings.OUTBOUND_RULES = Rules()
    webhook, _ = create_webhook(acting=owner.acting, url="https://receiver.example/hook", events=["key.*"])
    rotate_webhook(acting=owner.acting, webhook_id=webhook.id, overlap=datetime.timedelta(days=1))
    provider = create_provider(
        acting=owner.acting, name="Login", issuer="https://id.example", client_id="c", client_secret="the secret"
    )
    kept = uuid.uuid4()
    with tenant_scope(owner.tenant):
        IdempotentAnswer.objects.create(
            id=kept, tenant=owner.tenant, caller="user:x", key="k", fingerprint="f", status=201,
            answer=settings.SECRET_BOX.seal(b"{}", idempotency.place_of(kept)), expires_at=timezone.now(),
        )  # fmt: skip
    settings.MAIL = _MAIL
    with transaction.atomic():
        queue_mail(to="a@b.example", kind="password_changed", language="en", values={"email": "a@b.example"})
    device, secret = begin_totp(user=owner.user)
    tenant = change_own_tenant(acting=owner.acting, prompt_days=1)
    create_suite(acting=owner.acting, name="s", cases=[{"name": "x", "text": "x", "kind": "embed", "checks": [NEAR]}])
    settings.SECRET_BOX = SecretBox([derived_key("new"), derived_key(settings.SECRET_KEY)])
    of_subjects = SubjectKey.objects.count()
    assert of_subjects
    assert reseal().sealed == 7 + of_subjects
    assert reseal().sealed == 0
    settings.SECRET_BOX = SecretBox([derived_key("new")])
    with tenant_scope(owner.tenant):
        assert len(secrets_of(Webhook.objects.get(), timezone.now())) == 2
        assert client_of(provider.__class__.objects.get()).secret == "the secret"
        assert EvaluationSuite.objects.get().cases[0]["text"] == "x"
        assert idempotency._opened(IdempotentAnswer.objects.get()) == b"{}"
    assert [each.to for each in claim_mail("runner", 10)] == ["a@b.example"]
    device.refresh_from_db()
    assert secret_of(device) == secret
    tenant.refresh_from_db()
    prompt = seal_to(bytes(tenant.prompt_key or b""), b"asked", "here")
    private = settings.SECRET_BOX.open(bytes(tenant.sealed_prompt_key or b""), tenant.prompt_place)
    assert open_with(private, prompt, "here") == b"asked"
    personal._opened_keys.clear()
    assert not [each for each in personal.opened(AuditRecord.objects.all()) if each.erased]


def test_what_is_lost_is_told_and_keeps_nothing_else_back(
    owner: Person, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def made(name: str) -> Any:
        return create_provider(
            acting=owner.acting, name=name, issuer=f"https://{name}.example", client_id="c", client_secret="s"
        )

    made("lost")
    settings.SECRET_BOX = SecretBox([derived_key("middle")])
    made("kept")
    SubjectKey.objects.all().delete()
    settings.MAIL = _MAIL
    for _ in range(2):
        with transaction.atomic():
            queue_mail(to="a@b.example", kind="password_changed", language="en", values={"email": "a@b.example"})
    OutgoingMail.objects.filter(pk=OutgoingMail.objects.order_by("pk")[0].pk).update(letter=b"of another key")
    settings.SECRET_BOX = SecretBox([derived_key("new"), derived_key("middle")])
    with pytest.raises(CommandError, match="2 values"):
        call_command("reseal")
    assert "2 rows were sealed anew." in capsys.readouterr().out
    # Nor does a letter that nobody can read keep back the others.
    assert len(claim_mail("runner", 10)) == 1
    assert sorted(OutgoingMail.objects.values_list("state", flat=True)) == ["failed", "waiting"]
