"""Writes of users."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity.models import User
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal


def create_user(*, acting: Principal, email: str, password: str) -> User:
    """Only the system makes users. Raises `InvalidRequest`, or `Conflict` when the address is taken in any case."""
    if acting.kind != "system":
        raise Forbidden("Users are made by the operator of this installation.")
    user = User(email=email.strip())
    try:
        user._meta.get_field("email").clean(user.email, user)
    except ValidationError as error:
        raise InvalidRequest("This is not an email address.", param="email") from error
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), param="password") from error
    user.set_password(password)
    try:
        with transaction.atomic(durable=True):
            user.save(force_insert=True)
            record(
                acting=acting,
                action="user.create",
                target_type="user",
                target_id=user.id,
                tenant=None,
                detail={"email": user.email},
            )
    except IntegrityError as error:
        raise Conflict("There is a user with this email address already.") from error
    return user
