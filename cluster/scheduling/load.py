"""Load options of a request against the profile of its model: nothing that a client asks for makes an instance load again."""

from __future__ import annotations

from cluster.scheduling.candidate import Wanted
from ollamamax.contract import Load
from ollamamax.contract.profile import Profile
from ollamamax.kernel.errors import ContextTooLong


def load_of(profile: Profile) -> Load:
    return Load(profile.num_ctx, profile.num_gpu)


def check(profile: Profile, asked: int | None) -> None:
    """Raises `ContextTooLong` when a request asks for more context than the profile gives, and the profile refuses that."""
    if asked is not None and profile.num_ctx is not None and asked > profile.num_ctx and profile.outside == "refuse":
        raise ContextTooLong(
            f"'num_ctx' is {asked}, and the model's profile gives {profile.num_ctx}: ask for that or less, or leave it out;"
            " who manages the model can change its profile (PATCH /api/v1/models/{id}).",
            param="options.num_ctx",
            num_ctx=profile.num_ctx,
        )


def beyond(wanted: Wanted) -> str:
    """For an error's text: what a node must have loaded, when that is more than the profile gives."""
    fixed = wanted.profile.num_ctx
    asked = wanted.num_ctx
    return f" loaded with num_ctx {asked}" if asked is not None and fixed is not None and asked > fixed else ""


def avoided(profile: Profile, asked: int | None, *, loaded: bool, context: int | None) -> bool:
    """Whether a request was spared a reload: its ``num_ctx`` is smaller than what the loaded instance has, and was dropped.

    ``context`` is the instance's by the node's word; where the engine does not tell, it is what the profile fixes.
    """
    held = context if context is not None else profile.num_ctx
    return loaded and asked is not None and held is not None and asked < held
