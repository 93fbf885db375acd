"""Writes of users."""

from __future__ import annotations

import uuid

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.playground import end_tokens_on_commit
from ollamamax.identity.bounds import USERS, require_room
from ollamamax.identity.email import checked_email
from ollamamax.identity.models import User, UserSession
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def create_user(*, acting: Principal, email: str, password: str) -> User:
    """Only the system makes users. Raises `InvalidRequest`, or `Conflict` when the address is taken in any case."""
    if acting.kind != "system":
        raise Forbidden("Users are made by the operator of this installation.")
    user = User(email=checked_email(email))
    set_password(user, password)
    try:
        with transaction.atomic(durable=True):
            require_room(USERS, User.objects.exclude(email=user.email))
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


def make_user(email: str) -> User:
    """In a transaction that records it: a user whose identity others vouch for, with no password to log in by.

    Raises `InvalidRequest`, `Conflict`, and the bound's refusal.
    """
    user = User(email=checked_email(email))
    user.set_unusable_password()
    require_room(USERS, User.objects.exclude(email=user.email))
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("There is a user with this email address already.") from error
    return user


def change_password(*, acting: Principal, user_id: uuid.UUID, password: str) -> User:
    """Every session of the user ends. By the system, or the user. Raises `Forbidden`, `NotFound` and `InvalidRequest`."""
    if acting.kind != "system" and (acting.kind, acting.id) != ("user", user_id.hex):
        raise Forbidden("A password is changed by whom it belongs to.")
    with transaction.atomic(durable=True):
        user = _locked(user_id)
        set_password(user, password)
        user.save(update_fields=["password"])
        end_tokens_on_commit(UserSession.objects.filter(user=user).values_list("pk", flat=True))
        record(
            acting=acting,
            action="user.change_password",
            target_type="user",
            target_id=user.id,
            tenant=None,
            detail={"email": user.email},
        )
        sockets.recheck_on_commit([user.id])
    return user


def set_user_active(*, acting: Principal, user_id: uuid.UUID, active: bool) -> User:
    """Switch a user off, or on again. Off ends their sessions and live pages, and what runs with keys they made.

    Only the system does it: a user may belong to several tenants. Raises `Forbidden` and `NotFound`.
    """
    if acting.kind != "system":
        raise Forbidden("Users are switched off by the operator of this installation.")
    with transaction.atomic(durable=True):
        user = _locked(user_id)
        if user.is_active == active:
            return user
        user.is_active = active
        user.save(update_fields=["is_active"])
        record(
            acting=acting,
            action="user.activate" if active else "user.deactivate",
            target_type="user",
            target_id=user.id,
            tenant=None,
            detail={"email": user.email},
        )
        with every_tenant():
            directory.publish_keys_on_commit(keys_made_by(user.id))
        sockets.recheck_on_commit([user.id])
    return user


def _locked(user_id: uuid.UUID) -> User:
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


def set_password(user: User, password: str, *, param: str = "password") -> None:
    """Not saved yet. Raises `InvalidRequest` for one that is too weak."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), param=param) from error
    user.set_password(password)
