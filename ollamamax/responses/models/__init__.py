"""The tables of responses that are kept."""

from ollamamax.responses.models.conversation import Conversation, ConversationItem
from ollamamax.responses.models.response import KeptResponse

__all__ = ["Conversation", "ConversationItem", "KeptResponse"]
