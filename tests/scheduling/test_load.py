"""What a request asks to have loaded, against what the model's profile gives."""

from __future__ import annotations

import pytest

from cluster.scheduling.load import avoided, check, load_of
from ollamamax.contract import Load
from ollamamax.contract.profile import Profile
from ollamamax.kernel.errors import ContextTooLong


def test_a_profile_says_what_is_loaded() -> None:
    assert load_of(Profile(num_ctx=2048, num_gpu=3)) == Load(2048, 3)


def test_more_context_than_a_profile_gives_is_refused_where_it_says_so() -> None:
    strict = Profile(num_ctx=2048, outside="refuse")
    with pytest.raises(ContextTooLong, match=r"2049.*2048") as refused:
        check(strict, 2049)
    assert refused.value.fields == {"param": "options.num_ctx", "num_ctx": 2048}
    for profile, asked in (
        (strict, 2048),
        (strict, None),
        (Profile(num_ctx=2048, outside="route"), 9999),
        (Profile(outside="refuse"), 9999),
    ):
        check(profile, asked)


@pytest.mark.parametrize(
    ("fixed", "asked", "loaded", "context", "spared"),
    [
        (2048, 1024, True, None, True),
        (2048, 2048, True, None, False),
        (2048, 1024, True, 512, False),
        (None, 1024, True, 4096, True),
        (None, 1024, True, None, False),
        (2048, None, True, None, False),
        (2048, 1024, False, 4096, False),
    ],
)
def test_a_smaller_context_than_is_loaded_spares_a_reload(
    fixed: int | None, asked: int | None, loaded: bool, context: int | None, spared: bool
) -> None:
    assert avoided(Profile(num_ctx=fixed), asked, loaded=loaded, context=context) is spared
