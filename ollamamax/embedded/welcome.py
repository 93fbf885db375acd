"""What is said when everything is ready: the address, how to log in, a first request."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from ollamamax.embedded.environment import Plan
from ollamamax.embedded.home import Home, at, read_json, write_private

QUESTION = {
    "model": "smollm2:135m",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
READ_KEY = 'import json, sys; print(json.load(open(sys.argv[1]))["api_key"])'


def welcome(home: Home, made: Plan, seconds: float, *, first: bool, detach: bool) -> str:
    """The text. The password is shown at the first start only; the key never, the line reads it when it is pasted."""
    file = home.bootstrap_file
    facts = read_json(file)
    if facts and facts.get("url") != made.url:
        write_private(file, json.dumps(facts | {"url": made.url}, indent=2))
    key = shlex.join([sys.executable, "-c", READ_KEY, str(file)])
    curl = (
        f'curl {made.url_here}/v1/chat/completions -H "Authorization: Bearer $({key})" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(QUESTION))}"
    )
    command = [str(Path(sys.executable).with_name("ollamamax"))]
    if home.folder != at({}).folder:
        command += ["--home", str(home.folder)]
    password = facts.get("admin_password", "") if first else f'see "admin_password" in {file}'
    return (
        f"\nOllamaMax is ready after {seconds:.0f} s: {made.url}\n\n"
        f"  Log in   {facts.get('admin_email', '')}, password {password}\n"
        f"  Try      {curl}\n"
        + (f"  Also     {made.gateway_url} serves inference alone\n" if made.gateway_port else "")
        + f"  Logs     {home.logs}\n"
        f"  Command  {shlex.join(command)} --help\n"
        f"  Stop     {'make down' if detach else 'Ctrl-C'}\n"
    )
