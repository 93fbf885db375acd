"""Keeps a release's contract: its types and decoders as they were, and its messages as it wrote them.

``python -m tests.contract.release COMMIT NAME`` writes ``tests/contract/releases/NAME/``. Run once for a release, after it.
"""

from __future__ import annotations

import ast
import base64
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import ollamamax.contract
from tests.contract.samples import full, least, messages

FOLDER = Path(__file__).parent / "releases"
OF_CLIENTS = ("as_ollama", "fields", "from_client")
"""How bodies of clients are read: no other program of ours writes them."""
BESIDE = {"ollamamax.kernel.limits": "limits"}
"""What the contract takes from elsewhere, and the name under which it is kept."""
SCATTERED = {
    "ollamamax/bus/directory.py": ("_Change",),
    "ollamamax/kernel/limits.py": ("Limits",),
    "cluster/scheduling/profile.py": ("Strategy", "Outside", "Profile"),
    "models_registry/fallback.py": ("Cause", "CAUSES", "Fallback"),
    "models_registry/protocol/blobs.py": ("PublishedBlob",),
    "cluster/dispatch/registered.py": ("Registered",),
    "ollamamax/identity/access.py": ("Priority", "KnownKey", "KnownTenant"),
    "ollamamax/gateway/catalog.py": ("Details", "Listed", "Alias"),
}
"""Where the directory's types were before they had one home."""
_HEAD = '''"""The directory's tables as they were."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import msgspec


'''
_TAIL = """

TableChange, ListedAlias = _Change, Alias
encode_change = msgspec.msgpack.encode
decode_change = msgspec.msgpack.Decoder(_Change).decode


class _Table(NamedTuple):
    name: str
    encode: Any
    decode: Any


_ENTRIES = {
    "keys": KnownKey,
    "node_keys": KnownKey,
    "tenants": KnownTenant,
    "models": Listed,
    "aliases": Alias,
    "blobs": PublishedBlob,
    "nodes": Registered,
}
ALL = [_Table(name, msgspec.json.encode, msgspec.json.Decoder(kind).decode) for name, kind in _ENTRIES.items()]
"""


def main(commit: str, name: str) -> None:
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text(f'"""The contract as of {commit}, for tests alone."""\n')
    for module in sorted({*_modules_of(commit), "tables"}):
        place = next((place for place, name in BESIDE.items() if name == module), f"ollamamax.contract.{module}")
        text = _shown(commit, f"{place.replace('.', '/')}.py")
        if text is None and module == "tables":
            text = _gathered(commit)
        if text is not None:
            for other in BESIDE:
                text = text.replace(other, f"ollamamax.contract.{BESIDE[other]}")
            (folder / f"{module}.py").write_text(text.replace("ollamamax.contract", f"tests.contract.releases.{name}"))
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--fix", "--quiet", folder], check=True)
    subprocess.run([*ruff, "format", "--quiet", folder], check=True)
    written = {}
    for message, known in messages(modules(name)).items():
        for size, make in (("least", least), ("full", full)):
            data = known.encode(make(known.kind))
            written[f"{message}.{size}"] = base64.b64encode(data).decode() if _is_binary(data) else data.decode()
    (folder / "messages.json").write_text(json.dumps(written, indent=1) + "\n")


def modules(name: str | None) -> dict[str, ModuleType]:
    """The modules of a release's contract, or of this program's own."""
    package = "ollamamax.contract" if name is None else f"tests.contract.releases.{name}"
    folder = Path(ollamamax.contract.__path__[0]) if name is None else FOLDER / name
    found = sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")
    return {module: importlib.import_module(f"{package}.{module}") for module in found}


def held(name: str) -> dict[str, bytes]:
    """The messages that a release wrote."""
    written: dict[str, str] = json.loads((FOLDER / name / "messages.json").read_text())
    return {
        message: text.encode() if text.startswith("{") else base64.b64decode(text) for message, text in written.items()
    }


def _is_binary(data: bytes) -> bool:
    return not data.startswith(b"{")


def _modules_of(commit: str) -> list[str]:
    listed = ["git", "ls-tree", "--name-only", commit, "ollamamax/contract/"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    found = {Path(name).stem for name in names if name.endswith(".py")} - {"__init__", *OF_CLIENTS}
    return [*found, *BESIDE.values()] if "tables" in found else [*found]


def _shown(commit: str, path: str) -> str | None:
    shown = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, text=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def _gathered(commit: str) -> str:
    parts = []
    for path, names in SCATTERED.items():
        text = _shown(commit, path) or ""
        parts += [ast.get_source_segment(text, node) or "" for node in ast.parse(text).body if _name_of(node) in names]
    return _HEAD + "\n\n\n".join(parts) + _TAIL


def _name_of(node: ast.stmt) -> str:
    match node:
        case ast.ClassDef(name):
            return name
        case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
            return name
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
