"""Looks names up by the system's resolver, which waits for servers of others for as long as it likes and cannot be interrupted.

So each look-up has a thread that nobody waits for: not the one who asked, once their time is over, and not the end of their event loop. How
many there are is bounded, in all and for one domain, whose slow servers then slow their own names alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import Counter

AT_ONCE = 128
"""Look-ups under way in this process."""
DOMAIN_AT_ONCE = 16
"""Those of names with the same last two parts."""
_lock = threading.Lock()
_under_way: Counter[str] = Counter()

Found = list[tuple[int, str]]


async def addresses_of(host: str, port: int, family: int) -> Found:
    """Family and address of each that is found; odd spellings such as ``127.1`` among them. Raises `OSError`."""
    domain = ".".join(host.lower().rstrip(".").split(".")[-2:])
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()
    with _lock:
        if _under_way.total() >= AT_ONCE or _under_way[domain] >= DOMAIN_AT_ONCE:
            raise OSError(None, "too many names are looked up that nobody answers for")
        _under_way[domain] += 1

    def tell(found: Found, error: Exception | None) -> None:
        if not answer.done():
            answer.set_result(found) if error is None else answer.set_exception(error)

    def look_up() -> None:
        found: Found = []
        problem: Exception | None = None
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
            found = [(int(kind), str(address[0])) for kind, _, _, _, address in rows]
        except (OSError, ValueError) as error:  # a name that cannot be written for the resolver is a ValueError
            problem = error
        finally:
            with _lock:
                _under_way[domain] -= 1
                if not _under_way[domain]:
                    del _under_way[domain]
        with contextlib.suppress(RuntimeError):  # whoever asked has gone, and their loop with them
            loop.call_soon_threadsafe(tell, found, problem)

    threading.Thread(target=look_up, name="name", daemon=True).start()
    return await answer
