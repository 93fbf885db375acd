"""The tables of identity, one noun a file."""

from __future__ import annotations

from ollamamax.identity.models.grant import MemberGrant, TeamGrant
from ollamamax.identity.models.idempotency import IdempotentAnswer
from ollamamax.identity.models.invitation import Invitation
from ollamamax.identity.models.key import ApiKey, Priority
from ollamamax.identity.models.log_in import LogInCounter
from ollamamax.identity.models.membership import Membership, RemovedMember
from ollamamax.identity.models.password_reset import PasswordReset
from ollamamax.identity.models.role import Role
from ollamamax.identity.models.second_factor import Passkey, RecoveryCode, TotpDevice
from ollamamax.identity.models.service_account import ServiceAccount
from ollamamax.identity.models.session import UserSession
from ollamamax.identity.models.signing_key import SigningKey
from ollamamax.identity.models.team import Team, TeamMember
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User

__all__ = [
    "ApiKey",
    "IdempotentAnswer",
    "Invitation",
    "LogInCounter",
    "MemberGrant",
    "Membership",
    "Passkey",
    "PasswordReset",
    "Priority",
    "RecoveryCode",
    "RemovedMember",
    "Role",
    "ServiceAccount",
    "SigningKey",
    "Team",
    "TeamGrant",
    "TeamMember",
    "Tenant",
    "TotpDevice",
    "User",
    "UserSession",
]
