"""User: a person who logs in with an email address, or a program, which does not. What they may do comes from their memberships."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Lower

from ollamamax.kernel import ids


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        """The user with this email address, in whatever case it is written."""
        return self.get(email__iexact=username or "")


class User(AbstractBaseUser):
    """``is_program``: of a service account; its address is nobody's, and it has no password. ``groups`` are the teams' (`Team`)."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=100, default="", blank=True)
    is_active = models.BooleanField(default=True)
    is_program = models.BooleanField(default=False)
    groups = models.ManyToManyField(
        Group, through="identity.TeamMember", related_name="user_set", related_query_name="user"
    )
    is_superuser = False
    """For django-guardian, to which a superuser may do anything: nobody is."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="identity_user_email_unique",
                violation_error_message="There is a user with this email address already.",
            ),
        ]

    def __str__(self) -> str:
        return self.email
