"""Sets a clone up: the virtual environment, the locked packages, the model and the console, each only when it changed.

Standard library only, because it runs before anything is installed: ``python3 ollamamax/embedded/install.py up``
prepares what `make up` needs, ``test`` the development tools too. It starts nothing and knows no settings.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LEAST_PYTHON = (3, 11)
LEAST_NODE = ((20, 19), (22, 12))
"""Node 20.19 or 22.12, as Vite asks: 21 and 22.0 to 22.11 are too old."""
LOCK_FILES = {
    "product": "requirements.txt",
    "model": "requirements-model.txt",
    "development": "requirements-dev.txt",
    "javascript": "requirements-javascript.txt",
}
NPM_CI = ("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
UNFINISHED = "unfinished"
"""Stamp that stands while packages are being installed; pip cannot be trusted to repair what it left half-way."""


class CannotInstall(Exception):
    """One sentence that says what to do."""


def check_python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1]), name: str = "") -> None:
    """Raise `CannotInstall` when this interpreter is too old or cannot make virtual environments."""
    name = name or Path(sys.executable).name
    if version < LEAST_PYTHON:
        raise CannotInstall(
            f"OllamaMax needs Python 3.11 or newer and {name} is {version[0]}.{version[1]}: "
            "install a newer one and name it, as in `make up PYTHON=python3.12`."
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise CannotInstall(
            f"{name} lacks its venv module: install it (Debian, Ubuntu: `apt install python3-venv`) and run this again."
        )


class InstallProgress:
    """Says what is being done, how far it is and how long it took; one line a step, rewritten on a terminal."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.begun = 0
        self.live = sys.stderr.isatty()
        self.lock = threading.Lock()
        self.open: dict[int, tuple[str, float, str]] = {}

    def begin(self, what: str) -> int:
        with self.lock:
            self.begun += 1
            self.open[self.begun] = (what, time.monotonic(), "")
            self._draw()
            if not self.live:
                print(f"[{self.begun}/{self.steps}] {what} ...", file=sys.stderr, flush=True)
            return self.begun

    def far(self, step: int, how_far: str) -> None:
        with self.lock:
            what, since, _ = self.open[step]
            self.open[step] = (what, since, how_far)
            self._draw()

    def end(self, step: int) -> None:
        with self.lock:
            what, since, _ = self.open.pop(step)
            clear = "\r\033[K" if self.live else ""
            took = time.monotonic() - since
            print(f"{clear}[{step}/{self.steps}] {what}: done in {took:.0f} s", file=sys.stderr, flush=True)
            self._draw()

    def _draw(self) -> None:
        if not self.live:
            return
        parts = [f"[{n}/{self.steps}] {what} {far}".rstrip() for n, (what, _, far) in sorted(self.open.items())]
        width = shutil.get_terminal_size().columns - 1
        print("\r\033[K" + "   ".join(parts)[:width], end="", file=sys.stderr, flush=True)


class Setup:
    """What is installed in one clone: ``venv`` belongs to us unless it is a link or was named from outside."""

    def __init__(self, root: Path, venv: Path, *, ours: bool) -> None:
        self.root = root
        self.venv = venv
        self.ours = ours
        self.python = venv / "bin" / "python"
        self.stamps = venv / ".ollamamax"
        self.frontend = root / "frontend"
        self.clients = root / "tests" / "clients"

    # Stamps: a step is done when the hash of what it reads is the one written when it last ended.

    def stamp(self, name: str) -> str:
        try:
            return (self.stamps / name).read_text()
        except OSError:
            return ""

    def write_stamp(self, name: str, value: str) -> None:
        self.stamps.mkdir(parents=True, exist_ok=True)
        (self.stamps / name).write_text(value)

    def digest(self, paths: Iterable[Path]) -> str:
        """One hash over names and contents of files; a folder counts with all it holds."""
        total = hashlib.sha256(f"{self.root}\0".encode())
        for path in paths:
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    total.update(f"{file.relative_to(self.root)}\0".encode() + file.read_bytes() + b"\0")
        return total.hexdigest()

    # Steps

    def stale_environment(self) -> bool:
        """No environment yet, one that was moved or lost its Python, or one whose installation was interrupted.

        The Python it was made with stays: another PYTHON must not pull it away from under what runs.
        """
        if not self.python.exists() or self.stamp(UNFINISHED):
            return True
        made_for = self.stamp("environment")
        if made_for and made_for != self.digest([]):
            return True
        return subprocess.run([self.python, "-c", "import pip"], capture_output=True).returncode != 0  # noqa: S603

    def make_environment(self, far: Callable[[str], None]) -> None:
        del far
        self._run([sys.executable, "-m", "venv", "--clear", self.venv], "The virtual environment could not be made")
        self.write_stamp("environment", self.digest([]))

    def pip(self, *arguments: str | Path, far: Callable[[str], None], total: int = 0) -> None:
        """Install without looking at dependencies: the locked list is all of them."""
        done = 0

        def line(text: str) -> None:
            nonlocal done
            if text.startswith(("Collecting ", "Requirement already satisfied")):
                done += 1
                far(f"{min(done, total)} of {total}" if total else "")
            elif text.startswith("Installing collected packages"):
                far("unpacking")

        pip: list[str | Path] = [
            self.python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
        ]
        self._run([*pip, *arguments], "Packages could not be installed", line)

    def install_locked(self, kind: str, far: Callable[[str], None], *options: str | Path) -> None:
        file = self.root / LOCK_FILES[kind]
        total = len(re.findall(r"^\S+==", file.read_text(), re.MULTILINE))
        self.pip("--require-hashes", "--only-binary", ":all:", *options, "-r", file, far=far, total=total)

    def install_project(self, far: Callable[[str], None]) -> None:
        self.pip("--no-index", "--no-build-isolation", "-e", self.root, far=far)

    def node_folder(self, far: Callable[[str], None]) -> Path:
        """The folder of `node` and `npm`: the machine's when new enough, else a wheel's, kept apart from ours."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node and npm and node_is_new_enough(_output([node, "--version"])):
            return Path(node).parent
        target = self.venv / "node"
        if self.stamp("javascript") != self.digest([self.root / LOCK_FILES["javascript"]]):
            shutil.rmtree(target, ignore_errors=True)
            self.install_locked("javascript", far, "--target", target)
            self.write_stamp("javascript", self.digest([self.root / LOCK_FILES["javascript"]]))
        found = sorted(target.glob("*/bin/node"))
        if not found:
            raise CannotInstall("The Node.js wheel holds no program for this machine: install Node.js 22.12 or newer.")
        # Unpacked as plain files, npm's launcher is no link into its library any more: give it one.
        bin_folder = self.venv / "node-bin"
        bin_folder.mkdir(exist_ok=True)
        for name, program in (
            ("node", found[0]),
            ("npm", found[0].parent.parent / "lib/node_modules/npm/bin/npm-cli.js"),
        ):
            link = bin_folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
            program.chmod(program.stat().st_mode | 0o111)
        return bin_folder

    def console_inputs(self) -> list[Path]:
        skip = {"node_modules", "dist"}
        return sorted(p for p in self.frontend.iterdir() if p.name not in skip) if self.frontend.is_dir() else []

    def build_console(self, far: Callable[[str], None]) -> None:
        far("Node.js")
        environ = dict(os.environ, PATH=f"{self.node_folder(far)}{os.pathsep}{os.environ.get('PATH', '')}", CI="1")
        far("packages")
        self.console_packages(environ)
        far("building")
        self._run(["npm", "run", "build"], "The console could not be built", cwd=self.frontend, env=environ)

    def console_packages(self, environ: dict[str, str]) -> None:
        """The console's locked packages, where they are not there yet or are others."""
        lock = self.digest([self.frontend / "package-lock.json"])
        if self.stamp("npm") != lock or not (self.frontend / "node_modules").is_dir():
            self._run(NPM_CI, "The console's packages could not be installed", cwd=self.frontend, env=environ)
            self.write_stamp("npm", lock)

    def javascript_clients(self, far: Callable[[str], None]) -> None:
        """What tests/clients runs in Node.js."""
        environ = dict(os.environ, PATH=f"{self.node_folder(far)}{os.pathsep}{os.environ.get('PATH', '')}", CI="1")
        self._run(NPM_CI, "The JavaScript clients could not be installed", cwd=self.clients / "js", env=environ)

    def other_clients(self, names: Iterable[str]) -> None:
        """Clients that `make clients` tries, each group of them with packages of its own; ``names`` are of files of requirements."""
        for name in names:
            self.python_clients(name)
        folder, lock = self.clients / "vercel", self.digest([self.clients / "vercel" / "package-lock.json"])
        if self.stamp("vercel") != lock or not (folder / "node_modules").is_dir():
            environ = dict(
                os.environ, PATH=f"{self.node_folder(lambda _: None)}{os.pathsep}{os.environ.get('PATH', '')}"
            )
            self._run(NPM_CI, "Vercel's clients could not be installed", cwd=folder, env=environ)
            self.write_stamp("vercel", lock)

    def python_clients(self, name: str) -> None:
        """Clients with packages of their own, which the development tools need not agree with."""
        target, wanted = self.root / "build" / name, self.clients / "python" / f"{name}.txt"
        stamp = target / "installed"
        if stamp.exists() and stamp.read_text() == wanted.read_text():
            return
        print(f"Installing {name} for their tests ...", file=sys.stderr, flush=True)
        self._run([sys.executable, "-m", "venv", "--clear", target], "The virtual environment could not be made")
        pip: list[str | Path] = [target / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check"]
        self._run([*pip, "--quiet", "--only-binary", ":all:", "-r", wanted], "The clients could not be installed")
        stamp.write_text(wanted.read_text())

    def npm(self, arguments: list[str]) -> int:
        """Run npm in the console's folder, with the Node.js that builds it and the packages it needs."""
        folder = self.node_folder(lambda _: None)
        environ = dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}")
        self.console_packages(environ)
        return subprocess.run(["npm", *arguments], cwd=self.frontend, env=environ).returncode  # noqa: S603, S607

    def collect_static(self, far: Callable[[str], None]) -> None:
        del far
        # Collecting reads no server and no secret, but the settings refuse to load without them.
        unused = {
            "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(64),
            "DATABASE_URL": "postgresql://unused@127.0.0.1:1/unused",
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMAMAX_") and k not in {"HOST", "PORT"}}
        manage: list[str | Path] = [
            self.python,
            self.root / "manage.py",
            "collectstatic",
            "--noinput",
            "--clear",
            "--verbosity",
            "0",
        ]
        self._run(manage, "The console's files could not be collected", env={**kept, **unused}, cwd=self.root)

    # All of it

    def install(self, *, development: bool) -> None:
        """Do what is missing. Safe to interrupt: the next run finds out and repairs."""
        steps: list[tuple[str, str, str, Callable[[Callable[[str], None]], None]]] = []
        environment = self.ours and self.stale_environment()

        def plan(name: str, what: str, stamp: str, run: Callable[[Callable[[str], None]], None]) -> None:
            if environment or self.stamp(name) != stamp:
                steps.append((name, what, stamp, run))

        def locked(kind: str, what: str) -> None:
            plan(kind, what, self.digest([self.root / LOCK_FILES[kind]]), lambda far: self.install_locked(kind, far))

        console: list[Path] = self.console_inputs() if self.ours else []
        if self.ours:
            locked("product", "Python packages")
            locked("model", "A small chat model")
            if development:
                locked("development", "Development tools")
            project = [self.root / "pyproject.toml"]
            plan("project", "The project itself", self.digest(project), self.install_project)
        build = bool(console) and (
            environment or self.stamp("console") != self.digest(console) or not (self.frontend / "dist").is_dir()
        )
        collect = self.ours and (
            environment or build or bool(steps) or not (self.root / "staticfiles").is_dir() or not self.stamp("static")
        )
        lock = self.digest([self.clients / "js" / "package-lock.json"])
        there = (self.clients / "js" / "node_modules").is_dir()
        clients = self.ours and development and (environment or self.stamp("clients") != lock or not there)
        progress = InstallProgress(environment + len(steps) + build + clients + collect)
        if not progress.steps:
            return

        def run(name: str, what: str, stamp: str, act: Callable[[Callable[[str], None]], None]) -> None:
            step = progress.begin(what)
            act(lambda how_far: progress.far(step, how_far))
            progress.end(step)
            self.write_stamp(name, stamp)

        if environment:
            run("environment", "A virtual environment", self.digest([]), self.make_environment)
        failed: list[BaseException] = []

        def in_parallel() -> None:
            try:
                run("console", "The console", self.digest(console), self.build_console)
            except BaseException as error:  # noqa: BLE001 - raised again by the main thread
                failed.append(error)

        beside = threading.Thread(target=in_parallel, daemon=True)
        if build:
            beside.start()
        if steps:
            self.write_stamp(UNFINISHED, "1")
            for step in steps:
                run(*step)
            (self.stamps / UNFINISHED).unlink()
        if build:
            beside.join()
        if failed:
            raise failed[0]
        if clients:
            run("clients", "JavaScript clients for their tests", lock, self.javascript_clients)
        if collect:
            (self.stamps / "static").unlink(missing_ok=True)
            run("static", "The console's files", "done", self.collect_static)

    def _run(
        self,
        command: Sequence[str | Path],
        failure: str,
        line: Callable[[str], None] | None = None,
        *,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        """Run ``command`` and give each line it prints to ``line``; raise `CannotInstall` when it fails."""
        kept: list[str] = []
        with subprocess.Popen(  # noqa: S603 - our own arguments
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            for text in process.stdout:
                kept = [*kept[-200:], text.rstrip()]
                if line is not None:
                    line(text)
        if process.returncode == 0:
            return
        if any("No space left on device" in text for text in kept):
            raise CannotInstall(f"The disk of {self.root} is full: free about 2 GB, then run this again.")
        tail = "\n".join(f"    {text}" for text in kept[-15:] if text and not text.startswith("WARNING"))
        raise CannotInstall(f"{failure}; the last lines were:\n{tail}")


def node_is_new_enough(version: str) -> bool:
    """Whether ``v22.12.0`` and the like can build the console."""
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    if numbers is None:
        return False
    major, minor = int(numbers[1]), int(numbers[2])
    return major > LEAST_NODE[-1][0] or any(major == a and minor >= b for a, b in LEAST_NODE)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""


def setup(root: Path = ROOT) -> Setup:
    """The set-up of a clone. An environment that OLLAMAMAX_VENV names, or a link, is not ours: used as it is."""
    named = os.environ.get("OLLAMAMAX_VENV")
    venv = Path(named).absolute() if named else root / ".venv"
    return Setup(root, venv, ours=not named and not venv.is_symlink())


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One at a time in one clone: `make up` and `make test` may be typed together."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main(arguments: list[str]) -> int:
    try:
        check_python()
        here = setup()
        with _alone(here.root):
            here.install(development=arguments[:1] in (["test"], ["clients"]))
            if arguments[:1] == ["clients"]:
                here.other_clients(["clients", "aider", *arguments[1:]])
        if arguments[:1] == ["npm"]:
            return here.npm(arguments[1:])
    except CannotInstall as error:
        print(f"\n{error}", file=sys.stderr)
    except PermissionError as error:
        print(
            f"\nThis user may not write to {error.filename}: give it the right to, or use another folder.",
            file=sys.stderr,
        )
    except OSError as error:
        print(f"\n{error.strerror or error}: {error.filename or here.root}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted; the next run goes on from here.", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
