"""A LoRA adapter changes what the real model says, from one `create` on."""

from __future__ import annotations

from pathlib import Path

import numpy
import ollama
import pytest
from gguf import GGUFReader, GGUFWriter

from tests import smollm
from tests.management.conftest import Controller
from tests.management.test_real_model import SAY, serves
from tests.patience import LONG, wait_for
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)


def write_adapter(path: Path) -> Path:
    """A random adapter of rank 4 for the first layers' attention."""
    random = numpy.random.default_rng(1)
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 64.0)
    shapes = {tensor.name: tensor.shape for tensor in GGUFReader(smollm.path()).tensors}
    for block in range(8):
        name = f"blk.{block}.attn_q.weight"
        inner, outer = (int(each) for each in shapes[name])
        writer.add_tensor(f"{name}.lora_a", random.normal(size=(4, inner)).astype(numpy.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(size=(outer, 4)).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_an_adapter_is_applied(client: ollama.Client, controller: Controller, node: Node, tmp_path: Path) -> None:
    weights = client.create_blob(smollm.path())
    adapter = client.create_blob(write_adapter(tmp_path / "lora.gguf"))
    greedy = {"temperature": 0, "num_predict": 12}
    client.create("plain", files={"m.gguf": weights}, parameters=greedy)
    client.create("tuned", from_="plain", adapters={"lora.gguf": adapter})
    for name in ("plain", "tuned"):
        wait_for(lambda name=name: serves(client, name), LONG, name)  # type: ignore[misc]
    assert client.chat("tuned", SAY).message.content != client.chat("plain", SAY).message.content
