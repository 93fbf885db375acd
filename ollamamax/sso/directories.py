"""Directories that tell which people an identity provider has, besides the provider's own word at each log-in: how arrival asks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ollamamax.identity.models import Membership, User
from ollamamax.kernel.principal import Principal
from ollamamax.sso.models import IdentityProvider


class PeopleDirectory(Protocol):
    """In the tenant's scope, within the transaction of a log-in."""

    def in_charge(self, provider: IdentityProvider) -> bool:
        """Whether it decides about this provider's people: then nobody else is made a member by logging in."""

    def account(self, provider: IdentityProvider, email: str) -> User | None:
        """The account that it had made for the person with this address of the tenant's."""

    def settle(
        self, provider: IdentityProvider, user: User, claims: Mapping[str, Any], *, by: Principal
    ) -> Membership | None:
        """The membership of somebody whom it tells of, with role and state as it says now; ``None`` for whom it does not know."""


installed: list[PeopleDirectory] = []


def directory_of(provider: IdentityProvider) -> PeopleDirectory | None:
    """The one in charge of the provider's people."""
    return next((each for each in installed if each.in_charge(provider)), None)
