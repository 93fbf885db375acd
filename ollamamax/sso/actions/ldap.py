"""What is kept of providers that are directories, and what follows from asking them: a log-in, and roles as their groups are now."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.models import Membership
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import InvalidRequest, OllamaMaxError
from ollamamax.secret_box import CannotOpen
from ollamamax.sso.actions.role import acting_for, take_role, withhold
from ollamamax.sso.kept_answers import Places
from ollamamax.sso.ldap.directory import (
    LdapDirectory,
    check_dn,
    check_filter,
    checked_address,
    log_in,
    look_up,
    require_anybody,
)
from ollamamax.sso.ldap.people import LdapPerson, LookedUp
from ollamamax.sso.models import ExternalIdentity, IdentityProvider, LdapSettings
from ollamamax.sso.queries.ldap import directory_of_provider
from ollamamax.sso.queries.provider import providers
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.vouched import Vouched

log = logs.get(__name__)

SYNC_SECONDS = 900
"""How often the people of a directory are looked up anew."""
AT_ONCE = 200
"""People looked up on one connection."""
MOST_GONE_SHARE, FEW = 0.5, 5
"""When more than this part of at least so many people is gone at once, a setting is wrong rather than everybody gone."""
_asking = Places(most=48, most_of_one=8, most_unproven=16)
"""Log-ins under way at once, by provider. Each has a thread."""
UNREADABLE = "The password of the account that asks the directory cannot be read: enter it again."
COLUMNS = ("addresses", "ca", "user_filter", "subject_attribute", "group_base", "group_filter")
_DEFAULTS = {"subject_attribute": "entryUUID", "user_filter": "(&(objectClass=person)(uid={login}))"}


def take_ldap(provider: IdentityProvider, given: Mapping[str, Any]) -> dict[str, Any]:
    """Within a transaction: keep what is given; returns what is another than before. Raises `InvalidRequest`."""
    row = LdapSettings.objects.filter(provider=provider).first()
    if row is None:
        row = LdapSettings(tenant_id=provider.tenant_id, provider=provider, **_DEFAULTS)
    changed = dict(take_over(row, {name: given[name] for name in COLUMNS if name in given}))
    _check(row)
    if changed:
        row.asked_at, row.sync_error = None, ""
    row.save()
    return changed


def _check(row: LdapSettings) -> None:
    """Raises `InvalidRequest` that names the first column which cannot be."""
    with _naming("addresses", "An address is ldaps://host:port, or ldap://host:port for StartTLS."):
        if not [checked_address(each) for each in row.addresses]:
            raise ValueError("none")
    with _naming("ca", "These are no certificates in PEM."):
        if row.ca:
            ssl.create_default_context(cadata=row.ca)
    with _naming("user_filter"):
        check_filter(row.user_filter, "login")
    if row.group_base:
        with _naming("group_base"):
            check_dn(row.group_base)
        with _naming("group_filter"):
            check_filter(row.group_filter, "dn")


@contextlib.contextmanager
def _naming(column: str, sentence: str = "") -> Iterator[None]:
    """Raises `InvalidRequest` of this column for a `ValueError`; without a ``sentence`` with that one's."""
    try:
        yield
    except (ValueError, ssl.SSLError) as error:
        raise InvalidRequest(sentence or str(error), param=f"ldap.{column}") from error


def vouched_by_password(
    provider: IdentityProvider, *, login: str, password: str, address: str, request_id: str = ""
) -> Vouched:
    """Whom the directory has under this name and this password, which are counted as attempts as all others are.

    Raises `SsoRefused`, and `Overloaded` while too many have failed, of this name or from this address.
    """
    tried = attempt.begin(
        email=f"{login.strip().lower()}@{provider.pk.hex}.directory", address=address, request=request_id
    )
    try:
        found = _logged_in(provider, login, password)
        if isinstance(found, SsoRefused):
            raise found
    except SsoRefused as refused:
        if refused.why == Why.WRONG_PASSWORD:
            attempt.failed(tried)
            raise
        # The directory cannot say whether it was right: nobody guessed anything.
        with transaction.atomic(durable=True):
            attempt.succeeded(tried, wholly=False)
        raise
    except CannotOpen as error:
        with transaction.atomic(durable=True):
            attempt.succeeded(tried, wholly=False)
        raise SsoRefused(Why.BAD_DISCOVERY, UNREADABLE) from error
    with transaction.atomic(durable=True):
        attempt.succeeded(tried)
    return Vouched(found.subject, found.claims)


def _logged_in(provider: IdentityProvider, login: str, password: str) -> LdapPerson | SsoRefused:
    """Returns the refusal of a directory that answered. Raises `SsoRefused` of one that did not, or where too many wait for it."""
    directory = directory_of_provider(provider)
    with _asking.one(provider.pk.hex):
        try:
            return log_in(directory, login, password)
        except SsoRefused as refused:
            if refused.why == Why.WRONG_PASSWORD:
                return refused
            raise


def sync_directories(check: Callable[[], object], *, now: datetime.datetime | None = None) -> int:
    """Look up everybody that the directories which are due have let in, and give them the roles that follow; how many directories were asked.

    Who is gone from a directory is withheld until it has them again. One that does not answer changes nothing, nor what it says of somebody
    that cannot be used. ``check`` raises when another leads.
    """
    now = now or timezone.now()
    due = models.Q(ldap__asked_at=None) | models.Q(ldap__asked_at__lt=now - datetime.timedelta(seconds=SYNC_SECONDS))
    with every_tenant():
        found = list(
            providers()
            .select_related("tenant")
            .filter(due, kind=IdentityProvider.Kind.LDAP, enabled=True, tenant__suspended_at=None)
        )
    for provider in found:
        check()
        sync_directory(provider)
    return len(found)


def sync_directory(provider: IdentityProvider) -> None:
    """One of them. What went wrong is kept, and shown with the provider."""
    with tenant_scope(provider.tenant_id):
        LdapSettings.objects.filter(provider=provider).update(asked_at=timezone.now())
        members = Membership.objects.filter(source=Membership.Source.LDAP).values("user")
        identities = list(ExternalIdentity.objects.filter(provider=provider, user__in=members).order_by("id"))
    told, done = "", False
    try:
        found = _looked_up(directory_of_provider(provider), [each.subject for each in identities])
        _require_most_there(len(identities), len(found.known) + len(found.unclear))
        for identity in identities:
            if identity.subject not in found.unclear:
                _settle(provider, identity, found.known.get(identity.subject))
        told, done = _told_of(found.unclear), True
    except SsoRefused as refused:
        told = refused.detail or str(refused.why)
    except CannotOpen:
        told = UNREADABLE
    except OllamaMaxError as error:
        told = error.message
    with tenant_scope(provider.tenant_id):
        at = {"synced_at": timezone.now()} if done else {}
        LdapSettings.objects.filter(provider=provider).update(sync_error=told[:500], **at)
    log.info("sso_directory_synced", provider=provider.pk.hex, people=len(identities), error=told)


def _looked_up(directory: LdapDirectory, subjects: list[str]) -> LookedUp:
    """On a new connection for so many each, so that a large directory is no slow one."""
    found = LookedUp()
    for first in range(0, len(subjects), AT_ONCE):
        some = look_up(directory, subjects[first : first + AT_ONCE])
        found.known |= some.known
        found.unclear |= some.unclear
    if subjects and not found.known:
        require_anybody(directory)
    return found


def _told_of(unclear: Mapping[str, str]) -> str:
    """For the administrator; empty where all is clear."""
    if not unclear:
        return ""
    subject, why = next(iter(unclear.items()))
    return (
        f"Of {len(unclear)} people the directory says what cannot be used, and they stay as they are: {subject} ({why})"
    )


def _require_most_there(people: int, there: int) -> None:
    """Raises `SsoRefused`."""
    gone = people - there
    if gone > FEW and gone > people * MOST_GONE_SHARE:
        raise SsoRefused(
            Why.BAD_ANSWER,
            f"{gone} of {people} people would be gone at once: nobody was changed. Look at base, filter and account.",
        )


def _settle(provider: IdentityProvider, known: ExternalIdentity, now: LdapPerson | None) -> None:
    """What follows for one person, in a transaction of its own."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        identity = (
            ExternalIdentity.objects.select_for_update(of=("self",)).select_related("user").filter(pk=known.pk).first()
        )
        if (
            identity is None
            or not Membership.objects.filter(user=identity.user, source=Membership.Source.LDAP).exists()
        ):
            return
        by = acting_for(provider, "")
        if now is None:
            withhold(by, provider, identity)
            return
        if identity.claims != dict(now.claims):
            identity.claims = dict(now.claims)
            identity.save(update_fields=["claims"])
        try:
            take_role(by, provider, identity)
        except SsoRefused as refused:
            # Somebody suspended them by hand, which no directory undoes.
            log.debug("sso_directory_kept", provider=provider.pk.hex, why=str(refused.why))
