"""Tenant: an organisation; everything but users belongs to exactly one. The operator's runs the installation."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.limits import Limited, limit_constraints
from ollamamax.kernel import ids

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
MOST_PROMPT_DAYS = 400


class Tenant(Limited):
    """``weight`` is its share of what all wait for; ``show_route`` says whether its responses name node and reason.

    ``store_responses`` says whether answers of ``/v1/responses`` are kept, where the request does not say otherwise.
    ``strict_fields`` says whether OpenAI's and Anthropic's protocols refuse fields that nobody knows.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    weight = models.FloatField(default=1.0)
    show_route = models.BooleanField(default=True)
    store_responses = models.BooleanField(default=False)
    strict_fields = models.BooleanField(default=False)
    prompt_days = models.PositiveSmallIntegerField(default=0, db_default=0)
    """For how many days prompts are kept, sealed to ``prompt_key``; 0: none are, and what was kept is deleted."""
    prompt_key = models.BinaryField(null=True)
    """The public half (X25519) of the key to which gateways seal prompts; ``None`` where none are kept."""
    sealed_prompt_key = models.BinaryField(null=True)
    """The private half, in the secret box."""
    is_operator = models.BooleanField(default=False)
    sso_enforced = models.BooleanField(default=False)
    """Whether its members must have logged in through one of its identity providers to act in it (`ollamamax.sso`)."""
    factor_required_at = models.DateTimeField(null=True)
    """From when on its members must have proven a second factor to act in it, unless somebody else vouches for them; ``None``: never."""
    takes_passkeys = models.BooleanField(default=True, db_default=True)
    """Whether its members may log in by a passkey alone."""
    suspended_at = models.DateTimeField(null=True)
    """Since when its keys and people are refused; ``None`` for a tenant that is not."""
    deletion_asked_at = models.DateTimeField(null=True)
    """When its deletion was asked for; ``None`` for a tenant that stays."""
    deletes_at = models.DateTimeField(null=True)
    """From when on everything of it is removed; until then the deletion can be taken back."""
    may_join_nodes = models.BooleanField(default=False)
    """Whether hosts of its choosing may become nodes, which then speak with this installation's Redis; the operator's always may."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slug"],
                name="identity_tenant_slug_unique",
                violation_error_message="There is a tenant with this slug already.",
            ),
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="identity_tenant_slug_form",
                violation_error_message="A slug has 1 to 63 small letters, digits and inner hyphens.",
            ),
            models.CheckConstraint(
                # The bound above keeps NaN out too, which is greater than every number to Postgres.
                condition=models.Q(weight__gte=LEAST_WEIGHT, weight__lte=MOST_WEIGHT),
                name="identity_tenant_weight_range",
                violation_error_message="A tenant's weight is between 0.001 and 1000.",
            ),
            models.UniqueConstraint(
                fields=["is_operator"],
                condition=models.Q(is_operator=True),
                name="identity_tenant_one_operator",
                violation_error_message="There is an operator already.",
            ),
            models.CheckConstraint(
                condition=models.Q(is_operator=False) | models.Q(suspended_at=None),
                name="identity_tenant_operator_not_suspended",
                violation_error_message="The operator's tenant cannot be suspended.",
            ),
            models.CheckConstraint(
                condition=models.Q(deletes_at=None, deletion_asked_at=None)
                | models.Q(
                    deletes_at__gte=models.F("deletion_asked_at"),
                    deletion_asked_at__isnull=False,
                    suspended_at__isnull=False,
                ),
                name="identity_tenant_deletion_suspends",
                violation_error_message="A tenant that is to be deleted is suspended until then.",
            ),
            models.CheckConstraint(
                condition=models.Q(prompt_days=0)
                | models.Q(
                    prompt_days__lte=MOST_PROMPT_DAYS, prompt_key__isnull=False, sealed_prompt_key__isnull=False
                ),
                name="identity_tenant_prompt_days",
                violation_error_message="Prompts are kept for at most 400 days.",
            ),
            *limit_constraints("identity_tenant"),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def prompt_place(self) -> str:
        """Where the private half of its prompt key is sealed for."""
        return f"identity.tenant.prompts:{self.id.hex}"
