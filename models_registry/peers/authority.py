"""The installation's own authority, by whose certificates nodes know each other. It follows from the installation's secret, so that nothing of it is kept.

Every web process makes the same key and the same certificate of it; a new secret makes a new authority, whose certificates nodes have within a day.
"""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from models_registry.peers import tickets
from ollamamax.contract.peers import PeerCertificate, PeerTicket, peer_name

LIFE = datetime.timedelta(days=3)
RENEW_SECONDS = 24 * 3600.0
_BEGAN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_ENDS = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OllamaMax peers")])


class PeerAuthority:
    def __init__(self, secret: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(_derived(secret, b"ollamamax peer authority"))
        self._tickets = _derived(secret, b"ollamamax peer tickets")
        self._certificate = self._own()

    def issue(self, node: str, now: datetime.datetime) -> PeerCertificate:
        """A new key for the node, and its certificate."""
        key = Ed25519PrivateKey.generate()
        name = peer_name(node)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(_NAME)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, None)
        )
        return PeerCertificate(
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            certificate=made.public_bytes(Encoding.PEM).decode(),
            authority=self._certificate,
            ticket_key=self.ticket_key(node),
            seconds=RENEW_SECONDS,
        )

    def ticket_key(self, node: str) -> bytes:
        """What tickets for this node are sealed with; it learns no other's."""
        return HKDF(SHA256(), 32, salt=None, info=b"node " + node.encode()).derive(self._tickets)

    def ticket(self, *, asking: str, giving: str, digest: str, now: float) -> str:
        made = PeerTicket(asking=asking, giving=giving, digest=digest, until=now + tickets.LIFE_SECONDS)
        return tickets.seal(self.ticket_key(giving), made)

    def _own(self) -> str:
        made = (
            x509.CertificateBuilder()
            .subject_name(_NAME)
            .issuer_name(_NAME)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(_BEGAN)
            .not_valid_after(_ENDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, None)
        )  # fmt: skip
        return made.public_bytes(Encoding.PEM).decode()


def _derived(secret: str, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())
