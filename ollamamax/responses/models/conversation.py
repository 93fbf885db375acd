"""Conversation: items in order, to which responses add; and ConversationItem, one of them."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Conversation(models.Model):
    """``next_position`` numbers its items; it is moved under the row's lock."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    next_position = models.PositiveIntegerField(default=0)

    objects: models.Manager[Conversation] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="responses_conversation_expiry")]

    def __str__(self) -> str:
        return f"conv_{self.id.hex}"


class ConversationItem(models.Model):
    """``item`` is JSON in the secret box. ``name`` is the id that the caller sees."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=64)
    item = models.BinaryField()
    size = models.PositiveBigIntegerField()

    objects: models.Manager[ConversationItem] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "position"],
                name="responses_item_position_unique",
                violation_error_message="Two items of a conversation cannot have one position.",
            ),
            models.UniqueConstraint(
                fields=["conversation", "name"],
                name="responses_item_name_unique",
                violation_error_message="Two items of a conversation cannot have one id.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Where the sealed item lies, for the secret box."""
        return f"responses.item:{self.id.hex}"
