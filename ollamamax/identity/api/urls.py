"""Addresses of identity below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.identity.api.access import AccessObjectListView, KeyAccessView, MemberAccessView, WhoMayView
from ollamamax.identity.api.account import (
    OtherSessionsView,
    PasswordView,
    PlaygroundTokenView,
    UserSessionListView,
    UserSessionView,
)
from ollamamax.identity.api.audit import AuditExportView, AuditRecordView, AuditVerifyView, AuditView
from ollamamax.identity.api.audit_keeping import (
    AuditErasureView,
    AuditRetentionView,
    LegalHoldListView,
    LegalHoldReleaseView,
)
from ollamamax.identity.api.bulk import bulk_of
from ollamamax.identity.api.invitation import (
    InvitationAcceptView,
    InvitationListView,
    InvitationView,
    OpenInvitationView,
)
from ollamamax.identity.api.key import KeyLeakView, KeyListView, KeyRotateView, KeyView
from ollamamax.identity.api.me import MeView
from ollamamax.identity.api.member import MemberListView, MemberView
from ollamamax.identity.api.password_reset import PasswordResetView, ResetRequestView
from ollamamax.identity.api.role import GrantListView, GrantView, RoleListView, RoleView
from ollamamax.identity.api.schema import Docs, Schema
from ollamamax.identity.api.second_factor import (
    AuthenticatorConfirmView,
    AuthenticatorListView,
    AuthenticatorView,
    FactorsView,
    PasskeyListView,
    PasskeyOptionsView,
    PasskeyView,
    RecoveryCodesView,
    SignInPolicyView,
)
from ollamamax.identity.api.service_account import ServiceAccountListView, ServiceAccountView
from ollamamax.identity.api.session import SessionTenantView, SessionView
from ollamamax.identity.api.session_proof import (
    ConfirmOptionsView,
    ConfirmView,
    SessionFactorOptionsView,
    SessionFactorView,
    SessionPasskeyOptionsView,
    SessionPasskeyView,
)
from ollamamax.identity.api.team import (
    TeamGrantListView,
    TeamGrantView,
    TeamListView,
    TeamMemberListView,
    TeamMemberView,
    TeamView,
)
from ollamamax.identity.api.tenant import (
    OwnTenantView,
    TenantDeletionView,
    TenantExportView,
    TenantListView,
    TenantResumeView,
    TenantSuspendView,
    TenantView,
)

urlpatterns = [
    path("session", SessionView.as_view(), name="session"),
    path("session/tenant", SessionTenantView.as_view(), name="session-tenant"),
    path("session/factor", SessionFactorView.as_view(), name="session-factor"),
    path("session/factor/options", SessionFactorOptionsView.as_view(), name="session-factor-options"),
    path("session/passkey", SessionPasskeyView.as_view(), name="session-passkey"),
    path("session/passkey/options", SessionPasskeyOptionsView.as_view(), name="session-passkey-options"),
    path("session/confirm", ConfirmView.as_view(), name="session-confirm"),
    path("session/confirm/options", ConfirmOptionsView.as_view(), name="session-confirm-options"),
    path("members", MemberListView.as_view(), name="members"),
    path("members/bulk", bulk_of(MemberView, "membership_id", "members").as_view(), name="members-bulk"),
    path("members/<uuid:membership_id>", MemberView.as_view(), name="member"),
    path("members/<uuid:membership_id>/access", MemberAccessView.as_view(), name="member-access"),
    path("access", WhoMayView.as_view(), name="access"),
    path("access/objects", AccessObjectListView.as_view(), name="access-objects"),
    path("invitations", InvitationListView.as_view(), name="invitations"),
    path("invitations/open", OpenInvitationView.as_view(), name="invitation-open"),
    path("invitations/accept", InvitationAcceptView.as_view(), name="invitation-accept"),
    path(
        "invitations/bulk", bulk_of(InvitationView, "invitation_id", "invitations").as_view(), name="invitations-bulk"
    ),
    path("invitations/<uuid:invitation_id>", InvitationView.as_view(), name="invitation"),
    path("roles", RoleListView.as_view(), name="roles"),
    path("roles/bulk", bulk_of(RoleView, "role_id", "roles").as_view(), name="roles-bulk"),
    path("roles/<uuid:role_id>", RoleView.as_view(), name="role"),
    path("grants", GrantListView.as_view(), name="grants"),
    path("grants/bulk", bulk_of(GrantView, "grant_id", "grants").as_view(), name="grants-bulk"),
    path("grants/<uuid:grant_id>", GrantView.as_view(), name="grant"),
    path("account/reset", ResetRequestView.as_view(), name="account-reset"),
    path("account/reset/password", PasswordResetView.as_view(), name="account-reset-password"),
    path("teams", TeamListView.as_view(), name="teams"),
    path("teams/bulk", bulk_of(TeamView, "team_id", "teams").as_view(), name="teams-bulk"),
    path("teams/<uuid:team_id>", TeamView.as_view(), name="team"),
    path("teams/<uuid:team_id>/members", TeamMemberListView.as_view(), name="team-members"),
    path("teams/<uuid:team_id>/members/<uuid:membership_id>", TeamMemberView.as_view(), name="team-member"),
    path("team-grants", TeamGrantListView.as_view(), name="team-grants"),
    path("team-grants/bulk", bulk_of(TeamGrantView, "grant_id", "team_grants").as_view(), name="team-grants-bulk"),
    path("team-grants/<uuid:grant_id>", TeamGrantView.as_view(), name="team-grant"),
    path("service-accounts", ServiceAccountListView.as_view(), name="service-accounts"),
    path(
        "service-accounts/bulk",
        bulk_of(ServiceAccountView, "account_id", "service_accounts").as_view(),
        name="service-accounts-bulk",
    ),
    path("service-accounts/<uuid:account_id>", ServiceAccountView.as_view(), name="service-account"),
    path("account/password", PasswordView.as_view(), name="account-password"),
    path("account/sessions", UserSessionListView.as_view(), name="account-sessions"),
    path("account/other-sessions", OtherSessionsView.as_view(), name="account-other-sessions"),
    path("account/sessions/<uuid:session_id>", UserSessionView.as_view(), name="account-session"),
    path("account/factors", FactorsView.as_view(), name="account-factors"),
    path("account/authenticators", AuthenticatorListView.as_view(), name="account-authenticators"),
    path("account/authenticators/<uuid:factor_id>", AuthenticatorView.as_view(), name="account-authenticator"),
    path(
        "account/authenticators/<uuid:factor_id>/confirm",
        AuthenticatorConfirmView.as_view(),
        name="account-authenticator-confirm",
    ),
    path("account/passkeys", PasskeyListView.as_view(), name="account-passkeys"),
    path("account/passkeys/options", PasskeyOptionsView.as_view(), name="account-passkey-options"),
    path("account/passkeys/<uuid:factor_id>", PasskeyView.as_view(), name="account-passkey"),
    path("account/recovery-codes", RecoveryCodesView.as_view(), name="account-recovery-codes"),
    path("playground/token", PlaygroundTokenView.as_view(), name="playground-token"),
    path("audit", AuditView.as_view(), name="audit"),
    path("audit/<int:seq>", AuditRecordView.as_view(), name="audit-record"),
    path("audit/export", AuditExportView.as_view(), name="audit-export"),
    path("audit/holds", LegalHoldListView.as_view(), name="audit-holds"),
    path("audit/holds/<uuid:hold_id>/release", LegalHoldReleaseView.as_view(), name="audit-hold-release"),
    path("audit/erasures", AuditErasureView.as_view(), name="audit-erasures"),
    path("audit/retention", AuditRetentionView.as_view(), name="audit-retention"),
    path("audit/verify", AuditVerifyView.as_view(), name="audit-verify"),
    path("me", MeView.as_view(), name="me"),
    path("keys", KeyListView.as_view(), name="keys"),
    path("keys/bulk", bulk_of(KeyView, "key_id", "keys").as_view(), name="keys-bulk"),
    path("keys/report-leak", KeyLeakView.as_view(), name="keys-report-leak"),
    path("keys/<uuid:key_id>/rotate", KeyRotateView.as_view(), name="key-rotate"),
    path("keys/<uuid:key_id>/access", KeyAccessView.as_view(), name="key-access"),
    path("keys/<uuid:key_id>", KeyView.as_view(), name="key"),
    path("tenant", OwnTenantView.as_view(), name="tenant"),
    path("tenant/sign-in", SignInPolicyView.as_view(), name="tenant-sign-in"),
    path("tenants", TenantListView.as_view(), name="tenants"),
    path("tenants/bulk", bulk_of(TenantView, "tenant_id", "tenants").as_view(), name="tenants-bulk"),
    path("tenants/<uuid:tenant_id>", TenantView.as_view(), name="one-tenant"),
    path("tenants/<uuid:tenant_id>/deletion", TenantDeletionView.as_view(), name="tenant-deletion"),
    path("tenants/<uuid:tenant_id>/export", TenantExportView.as_view(), name="tenant-export"),
    path("tenants/<uuid:tenant_id>/suspend", TenantSuspendView.as_view(), name="tenant-suspend"),
    path("tenants/<uuid:tenant_id>/resume", TenantResumeView.as_view(), name="tenant-resume"),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
]
