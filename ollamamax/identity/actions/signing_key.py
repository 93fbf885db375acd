"""Writes of the keys that sign access tokens and ID tokens: made when there is none, and rotated each month."""

from __future__ import annotations

import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.bus import publication
from ollamamax.contract.tables import SIGNING_KEYS
from ollamamax.identity.access_tokens import ALGORITHM
from ollamamax.identity.models import SigningKey
from ollamamax.identity.queries.signing_key import newest_signing_key
from ollamamax.kernel.ids import uuid7
from ollamamax.kernel.principal import system

USED = datetime.timedelta(days=30)
SHOWN = USED + datetime.timedelta(days=1)
"""For so long its public half is shown: longer than any token that it signed."""
_LOCK = "identity.signing_keys"
_RSA_BITS = 2048


def ensure_signing_key(algorithm: str = ALGORITHM) -> SigningKey:
    """The one that signs by this algorithm now. Queries: 1, and in a transaction of its own those that make them where there is none."""
    return newest_signing_key(algorithm) or rotate_signing_keys()[algorithm]


def rotate_signing_keys() -> dict[str, SigningKey]:
    """Make one for each algorithm where there is none that is young enough, and remove those that signed nothing which still counts. Returns the
    newest by their algorithms. Safe to repeat.

    They are made together, that of access tokens last: the release before takes the newest of all for these.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        now = timezone.now()
        old = SigningKey.objects.filter(created_at__lt=now - SHOWN)
        gone = list(old.values_list("kid", flat=True))
        old.delete()
        newest = {each: key for each in SigningKey.Algorithm.values if (key := newest_signing_key(each)) is not None}
        if not all(each in newest and newest[each].created_at >= now - USED for each in SigningKey.Algorithm.values):
            for algorithm in SigningKey.Algorithm.values:
                made = newest[algorithm] = _made(algorithm)
                gone.append(made.kid)
                record(
                    acting=system("signing_keys"),
                    action="signing_key.make",
                    target_type="signing_key",
                    target_id=made.id,
                    tenant=None,
                    detail={"kid": made.kid, "algorithm": algorithm},
                )
        if gone:
            publication.publish_on_commit(SIGNING_KEYS, gone)
    return newest


def private_half(key: SigningKey) -> str:
    """PEM. Raises `CannotOpen`."""
    return str(settings.SECRET_BOX.open(bytes(key.sealed_private), key.place).decode())


def _made(algorithm: str) -> SigningKey:
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = ec.generate_private_key(ec.SECP256R1())
    if algorithm == SigningKey.Algorithm.RS256:
        private = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    id_ = uuid7()
    key = SigningKey(
        id=id_,
        kid=id_.hex,
        algorithm=algorithm,
        public=private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.sealed_private = settings.SECRET_BOX.seal(pem, key.place)
    key.save(force_insert=True)
    return key
