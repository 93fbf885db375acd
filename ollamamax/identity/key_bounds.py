"""What a key may do to keys: none that it makes, changes, or is shown the text of counts for longer than it does, or for more. Pure."""

from __future__ import annotations

from ollamamax.identity.models import ApiKey
from ollamamax.identity.models.limits import LIMITS
from ollamamax.kernel.errors import Forbidden


def require_to_make(maker: ApiKey | None) -> None:
    """Raises `Forbidden` for a key that has limits: with each key that it made it would have them once more."""
    if maker is not None and any(getattr(maker, name) is not None for name in LIMITS):
        raise Forbidden("A key that has limits makes no keys.")


def require_no_more(maker: ApiKey | None, key: ApiKey) -> None:
    """``key`` as it is to be. Raises `Forbidden` where it is more than the key that acts."""
    if maker is None:
        return
    if maker.expires_at is not None and (key.expires_at is None or key.expires_at > maker.expires_at):
        raise Forbidden("A key makes and changes no key that ends later than it does.", param="expires_at")
    for name in LIMITS:
        most, held = getattr(maker, name), getattr(key, name)
        if most is not None and (held is None or held > most):
            raise Forbidden("A key makes and changes no key whose limits are wider than its own.", param="limits")
