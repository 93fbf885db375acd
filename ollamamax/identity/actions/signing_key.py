"""Writes of the keys that sign access tokens: made when there is none, and rotated each month."""

from __future__ import annotations

import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.bus import publication
from ollamamax.contract.tables import SIGNING_KEYS
from ollamamax.identity.models import SigningKey
from ollamamax.identity.queries.signing_key import newest_signing_key
from ollamamax.kernel.ids import uuid7
from ollamamax.kernel.principal import system

USED = datetime.timedelta(days=30)
SHOWN = USED + datetime.timedelta(days=1)
"""For so long its public half is shown: longer than any token that it signed."""
_LOCK = "identity.signing_keys"


def ensure_signing_key() -> SigningKey:
    """The one that signs now. Queries: 1, and in a transaction of its own those that make one where there is none."""
    return newest_signing_key() or rotate_signing_keys()


def rotate_signing_keys() -> SigningKey:
    """Make one where there is none that is young enough, and remove those that signed nothing which still counts. Returns the newest. Safe to repeat."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        now = timezone.now()
        old = SigningKey.objects.filter(created_at__lt=now - SHOWN)
        gone = list(old.values_list("kid", flat=True))
        old.delete()
        newest = newest_signing_key()
        if newest is None or newest.created_at < now - USED:
            newest = _made()
            gone.append(newest.kid)
            record(
                acting=system("signing_keys"),
                action="signing_key.make",
                target_type="signing_key",
                target_id=newest.id,
                tenant=None,
                detail={"kid": newest.kid},
            )
        if gone:
            publication.publish_on_commit(SIGNING_KEYS, gone)
    return newest


def private_half(key: SigningKey) -> str:
    """PEM. Raises `CannotOpen`."""
    return str(settings.SECRET_BOX.open(bytes(key.sealed_private), key.place).decode())


def _made() -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    id_ = uuid7()
    key = SigningKey(
        id=id_,
        kid=id_.hex,
        public=private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.sealed_private = settings.SECRET_BOX.seal(pem, key.place)
    key.save(force_insert=True)
    return key
