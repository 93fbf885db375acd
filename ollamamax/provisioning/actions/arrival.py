"""What a directory has to say when one of its people logs in (`ollamamax.sso.directories`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollamamax.identity.models import Membership, User
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.actions.settling import settle
from ollamamax.provisioning.models import DirectoryUser
from ollamamax.provisioning.queries.directory import is_in_charge
from ollamamax.sso.models import IdentityProvider


class Provisioned:
    """The people that came by SCIM."""

    def in_charge(self, provider: IdentityProvider) -> bool:
        return is_in_charge(provider)

    def account(self, provider: IdentityProvider, email: str) -> User | None:
        rows = DirectoryUser.objects.filter(
            provider=provider, removed_at=None, address=email.lower(), made_account=True
        )
        row = rows.exclude(membership=None).select_related("user").first()
        return None if row is None else row.user

    def settle(
        self, provider: IdentityProvider, user: User, claims: Mapping[str, Any], *, by: Principal
    ) -> Membership | None:
        rows = DirectoryUser.objects.select_for_update(of=("self",)).select_related(
            "membership__role", "membership__user"
        )
        rows = rows.filter(provider=provider, removed_at=None)
        row = rows.filter(membership__user=user).first()
        if row is None:
            # Somebody who had an account already, and has linked it to the provider now.
            row = rows.filter(membership=None, address=user.email.lower()).exclude(address="").first()
            if row is None:
                return None
        settle(row, provider, by=by, proved=user)
        return row.membership
