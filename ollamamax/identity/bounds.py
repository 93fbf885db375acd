"""How many of each noun a tenant, or the installation, may have: one table, one check, and errors that name the setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from ollamamax.identity.scope import current_tenant
from ollamamax.kernel.errors import Conflict, Overloaded

RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class Bound:
    """At most so many ``nouns`` as ``setting`` says. ``remedy`` makes room; ``passes``: so does waiting, and the refusal is a 429."""

    setting: str
    nouns: str
    remedy: str
    passes: bool = False
    of_installation: bool = False

    @property
    def most(self) -> int:
        most: int = settings.ENV[self.setting]
        return most

    def refusal(self) -> Conflict | Overloaded:
        whose = "This installation" if self.of_installation else "This tenant"
        text = f"{whose} has {self.most} {self.nouns}, as many as it may: {self.remedy} ({self.setting})."
        return Overloaded(text, retry_after=RETRY_SECONDS) if self.passes else Conflict(text)


TENANTS = Bound("OLLAMAMAX_MAX_TENANTS", "tenants", "its operator can raise the bound", of_installation=True)
USERS = Bound("OLLAMAMAX_MAX_USERS", "users", "its operator can raise the bound", of_installation=True)
MEMBERS = Bound("OLLAMAMAX_MAX_MEMBERS_PER_TENANT", "members", "remove some")
INVITATIONS = Bound("OLLAMAMAX_MAX_INVITATIONS_PER_TENANT", "open invitations", "revoke some")
ROLES = Bound("OLLAMAMAX_MAX_ROLES_PER_TENANT", "roles", "delete some")
TEAMS = Bound("OLLAMAMAX_MAX_TEAMS_PER_TENANT", "teams", "delete some")
SERVICE_ACCOUNTS = Bound("OLLAMAMAX_MAX_SERVICE_ACCOUNTS_PER_TENANT", "service accounts", "delete some")
POOLS = Bound("OLLAMAMAX_MAX_POOLS_PER_TENANT", "pools of nodes", "delete some")
GRANTS = Bound("OLLAMAMAX_MAX_GRANTS_PER_TENANT", "grants", "end some")
IDEMPOTENT_ANSWERS = Bound(
    "OLLAMAMAX_MAX_IDEMPOTENCY_KEYS_PER_TENANT", "idempotency keys", "wait for some to expire", passes=True
)
WEBHOOKS = Bound("OLLAMAMAX_MAX_WEBHOOKS_PER_TENANT", "webhooks", "delete some")
BUDGETS = Bound("OLLAMAMAX_MAX_BUDGETS_PER_TENANT", "budgets", "delete some")
PRICES = Bound("OLLAMAMAX_MAX_PRICES_PER_TENANT", "prices", "its operator can raise the bound")
KEYS = Bound("OLLAMAMAX_MAX_KEYS_PER_TENANT", "keys", "revoke some")
IDENTITY_PROVIDERS = Bound("OLLAMAMAX_MAX_IDENTITY_PROVIDERS_PER_TENANT", "identity providers", "delete some")
EMAIL_DOMAINS = Bound("OLLAMAMAX_MAX_EMAIL_DOMAINS_PER_TENANT", "e-mail domains", "delete some")
SCIM_TOKENS = Bound("OLLAMAMAX_MAX_SCIM_TOKENS_PER_TENANT", "SCIM tokens", "revoke some")
DIRECTORY_USERS = Bound("OLLAMAMAX_MAX_DIRECTORY_USERS_PER_TENANT", "users of directories", "remove some")
DIRECTORY_GROUPS = Bound("OLLAMAMAX_MAX_DIRECTORY_GROUPS_PER_TENANT", "groups of directories", "remove some")
APPLICATIONS = Bound("OLLAMAMAX_MAX_APPLICATIONS_PER_TENANT", "applications", "delete some")
WORKLOADS = Bound("OLLAMAMAX_MAX_WORKLOADS_PER_TENANT", "workloads", "delete some")
JOIN_TOKENS = Bound("OLLAMAMAX_MAX_JOIN_TOKENS_PER_TENANT", "join tokens", "revoke some")
NODES = Bound("OLLAMAMAX_MAX_NODES_PER_TENANT", "nodes", "remove some")
EXPERIMENTS = Bound("OLLAMAMAX_MAX_EXPERIMENTS_PER_TENANT", "experiments", "delete some")
MODELS = Bound("OLLAMAMAX_MAX_MODELS_PER_TENANT", "names of models", "delete some")
VERSIONS = Bound("OLLAMAMAX_MAX_VERSIONS_PER_TENANT", "versions of models", "delete names of models")
IMAGES = Bound("OLLAMAMAX_MAX_IMAGES_PER_TENANT", "manifests", "delete some")
MIRRORS = Bound("OLLAMAMAX_MAX_MIRRORS_PER_TENANT", "mirrors", "delete some")
ALIASES = Bound("OLLAMAMAX_MAX_ALIASES_PER_TENANT", "aliases", "delete some")
UPLOADS = Bound("OLLAMAMAX_MAX_UPLOADS_PER_TENANT", "blobs of no model", "make models of some, or wait a day")
JOBS = Bound("OLLAMAMAX_MAX_JOBS_PER_TENANT", "jobs under way", "wait for some, or cancel them", passes=True)
FILES = Bound("OLLAMAMAX_MAX_FILES_PER_TENANT", "files", "delete some")
BATCHES = Bound("OLLAMAMAX_MAX_BATCHES_PER_TENANT", "unfinished batches", "wait for some, or cancel them", passes=True)
EVALUATION_SUITES = Bound("OLLAMAMAX_MAX_EVALUATION_SUITES_PER_TENANT", "evaluation suites", "delete some")
EVALUATION_REQUIREMENTS = Bound(
    "OLLAMAMAX_MAX_EVALUATION_REQUIREMENTS_PER_TENANT", "requirements of promotion", "delete some"
)
EVALUATIONS = Bound(
    "OLLAMAMAX_MAX_EVALUATIONS_PER_TENANT", "unfinished evaluations", "wait for some, or cancel them", passes=True
)
CONVERSATIONS = Bound("OLLAMAMAX_MAX_CONVERSATIONS_PER_TENANT", "conversations", "delete some")
BACKGROUND = Bound(
    "OLLAMAMAX_MAX_BACKGROUND_PER_TENANT",
    "unfinished background responses",
    "wait for some, or cancel them",
    passes=True,
)
BOUNDS = tuple(value for value in dict(globals()).values() if isinstance(value, Bound))


def require_room(bound: Bound, rows: QuerySet[Any], wanted: int = 1, *, besides: int = 0) -> None:
    """Raises the bound's refusal unless ``wanted`` more of ``rows``, which the bound counts, may be made; ``besides`` are counted elsewhere.

    Within the transaction that makes them, until whose end nobody else makes any: no two see the same room. Queries: 2.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a lock outside a transaction would be let go at once")
    whose = "installation" if bound.of_installation else current_tenant().hex
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{bound.setting}:{whose}"])
    if rows.count() + besides + wanted > bound.most:
        raise bound.refusal()


_sending: dict[str, int] = {}


@contextmanager
def sending(tenant: str) -> Iterator[None]:
    """One blob or file on its way in, of this process's event loop. Raises `Overloaded` for one too many of the tenant."""
    setting = "OLLAMAMAX_MAX_SENDING_PER_TENANT"
    if _sending.get(tenant, 0) >= settings.ENV[setting]:
        raise Overloaded(
            f"This tenant is sending {settings.ENV[setting]} blobs and files here, as many as it may: "
            f"wait for some ({setting}).",
            retry_after=RETRY_SECONDS,
        )
    _sending[tenant] = _sending.get(tenant, 0) + 1
    try:
        yield
    finally:
        _sending[tenant] -= 1
        if not _sending[tenant]:
            del _sending[tenant]
