"""Why a log-in through an identity provider was refused: one closed list, which the console has a sentence for, each."""

from __future__ import annotations

import re
from enum import StrEnum


class Why(StrEnum):
    UNKNOWN_PROVIDER = "unknown_provider"
    UNKNOWN_STATE = "unknown_state"
    OTHER_PROVIDER = "other_provider"
    STATE_EXPIRED = "state_expired"
    PROVIDER_SAID = "provider_said"
    ADDRESS_REFUSED = "address_refused"
    UNREACHABLE = "unreachable"
    BAD_DISCOVERY = "bad_discovery"
    WRONG_ISSUER = "wrong_issuer"
    BAD_ANSWER = "bad_answer"
    CODE_REFUSED = "code_refused"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    WRONG_NONCE = "wrong_nonce"
    REPLAYED = "replayed"
    NO_EMAIL = "no_email"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    FOREIGN_DOMAIN = "foreign_domain"
    EMAIL_TAKEN = "email_taken"
    NOT_CREATED = "not_created"
    NOT_PROVISIONED = "not_provisioned"
    NO_ROLE = "no_role"
    DEACTIVATED = "deactivated"
    SUSPENDED = "suspended"
    REMOVED = "removed"
    TOO_OFTEN = "too_often"
    LINKED_ELSEWHERE = "linked_elsewhere"
    NOT_LOGGED_IN = "not_logged_in"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason


class SsoRefused(Exception):
    """``said`` is an error code of the provider's own; ``detail`` a sentence for whoever configures it, never for the one who logs in."""

    def __init__(self, why: Why, detail: str = "", *, said: object = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail
        self.said = said if isinstance(said, str) and re.fullmatch(r"[a-z_]{1,60}", said) else ""
