"""Makes the documentation as a site, in ``site/``, without the network: ``.ci/site.py``, which `make docs` runs. Beside it stands `llms.txt`.

The pages are those of the repository, with the same addresses, so that the links in them lead on both here and there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "OllamaMax"
SUMMARY = "One endpoint and one console for a fleet of Ollama, llama.cpp and vLLM hosts"
SECTIONS: dict[str, tuple[str, ...]] = {
    "Begin": ("connect", "running", "deployment", "nodes"),
    "Ask": ("api", "responses", "batches", "profiles"),
    "Models": (
        *("models", "versions", "evaluations", "rollouts", "registry"),
        *("bundles", "replication", "placement", "autoscaling"),
    ),
    "People": ("tenants", "sso", "access-tokens", "openid-provider", "budgets", "usage", "audit"),
    "Operate": ("settings", "metrics", "tracing", "incidents", "prediction", "runbooks", "backup", "failures", "chaos"),
    "Integrate": ("management", "ci", "live", "webhooks", "console/README", "console/tasks"),
    "Understand": ("architecture", "routing", "queue", "security"),
    "Measured": ("performance", "performance-history", "mutants"),
}
"""Pages of ``docs/``, without ``.md``; a test finds each of them here once."""
_LINK = re.compile(r"!?\[(?:[^\]]|\n)*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    """The front page, those of the sections, and what they link to here: READMEs, files, pictures."""
    found: list[Path] = []
    waiting = [ROOT / "README.md", *(ROOT / "docs" / f"{page}.md" for each in SECTIONS.values() for page in each)]
    while waiting:
        page = waiting.pop(0)
        if page in found:
            continue
        found.append(page)
        if page.suffix == ".md":
            waiting += _linked(page)
    return found


def _linked(page: Path) -> Iterator[Path]:
    for target in _LINK.findall(page.read_text()):
        file = (page.parent / target).resolve()
        if "://" not in target and file.is_file() and file.is_relative_to(ROOT):
            yield file


def title(page: Path) -> str:
    """Its heading."""
    found = re.search(r"^# (.+)$", page.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{page} has no heading")
    return found[1]


def first_sentence(page: Path) -> str:
    """Of its first paragraph, without marks; empty where it begins with a block of code."""
    paragraph = page.read_text().partition("\n\n")[2].partition("\n\n")[0]
    if paragraph.startswith(("```", "|", "#", "!")):
        return ""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split())).replace("**", "")
    return re.split(r"(?<=\.)\s", words)[0].rstrip(":")


def llms() -> str:
    """What a program that reads the documentation begins with (https://llmstxt.org)."""
    lines = [f"# {NAME}", "", f"> {SUMMARY}", ""]
    for section, names in SECTIONS.items():
        lines += [f"## {section}", ""]
        for name in names:
            page = ROOT / "docs" / f"{name}.md"
            told = first_sentence(page)
            lines.append(f"- [{title(page)}](docs/{name}.md)" + (f": {told}" if told else ""))
        lines.append("")
    return "\n".join(lines)


def configuration() -> str:
    """Of the generator. Texts are quoted as TOML quotes them, which Python's ``repr`` of a plain word is too."""
    nav = [f'  {{"{NAME}" = "README.md"}},']
    for section, names in SECTIONS.items():
        inside = ", ".join(f'"docs/{name}.md"' for name in names)
        nav.append(f'  {{"{section}" = [{inside}]}},')
    return "\n".join(
        [
            "[project]",
            f'site_name = "{NAME}"',
            f'site_description = "{SUMMARY}"',
            'docs_dir = "pages"',
            'site_dir = "site"',
            "use_directory_urls = false",
            "nav = [",
            *nav,
            "]",
            "[project.theme]",
            "font = false",
            'features = ["navigation.sections", "search.highlight", "content.code.copy", "toc.follow"]',
            "",
        ]
    )


def build(target: Path) -> None:
    """Into the folder ``target``, which is made anew. Raises `CalledProcessError` when a link leads nowhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "zensical.toml").write_text(configuration())
        for page in pages():
            copy = folder / "pages" / page.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, copy)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "zensical.toml"]
        subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - fixed arguments
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(folder / "site", target)
    for page in pages():
        if page.suffix == ".md":
            copy = target / page.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, copy)
    (target / "llms.txt").write_text(llms())


if __name__ == "__main__":
    build(ROOT / "site")
