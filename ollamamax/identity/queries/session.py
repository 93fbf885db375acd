"""Reads of sessions: those of one user that have not ended."""

from __future__ import annotations

import uuid

from django.contrib.sessions.models import Session
from django.db import models
from django.utils import timezone

from ollamamax.identity.models import UserSession
from ollamamax.kernel.errors import NotFound


def sessions_of(user_id: uuid.UUID) -> models.QuerySet[UserSession]:
    """The user's sessions that Django still knows, the newest first."""
    known = Session.objects.filter(session_key=models.OuterRef("session_key"), expire_date__gt=timezone.now())
    return UserSession.objects.filter(models.Exists(known), user=user_id).order_by("-created_at", "-id")


def get_session(user_id: uuid.UUID, session_id: uuid.UUID) -> UserSession:
    """Raises `NotFound`, for a session of another user too."""
    found = sessions_of(user_id).filter(pk=session_id).first()
    if found is None:
        raise NotFound("There is no such session.")
    return found
