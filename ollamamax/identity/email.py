"""What is taken for an e-mail address: one check, wherever one comes from. Pure."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from ollamamax.kernel.errors import InvalidRequest

MOST = 254
_is_one = EmailValidator(allowlist=["localhost"])


def checked_email(text: str) -> str:
    """The address without space around it. Raises `InvalidRequest` (``param`` is ``email``).

    Narrower than the standard: no quoted local part, in which anything may stand, ``@`` and the ends of lines too; and ASCII alone, because two
    texts that differ could be the same address once their letters are made small.
    """
    email = text.strip()
    local = email.partition("@")[0]
    try:
        if len(email) > MOST or not email.isascii() or '"' in local:
            raise ValidationError("")
        _is_one(email)
    except ValidationError as error:
        raise InvalidRequest(
            "This is not an e-mail address. Other domains than ASCII ones are written as xn--.", param="email"
        ) from error
    return email
