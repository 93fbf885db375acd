"""The embedded Valkey: closed without its password, and the nodes' users outlive it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import redis

from ollamamax.embedded import valkey
from tests.servers import free_port


class Server:
    def __init__(self, folder: Path, port: int, password: str) -> None:
        valkey.write_users(folder, password)
        socket = folder / "a socket"
        self.url = valkey.url(password, socket)
        self.process = subprocess.Popen(valkey.command(folder, port, socket), stdout=subprocess.DEVNULL)
        valkey.wait_ready(self.url, self.process)
        self.client = redis.Redis.from_url(self.url)

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(10)


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    port = free_port()
    server = Server(tmp_path, port, "right")
    try:
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(f"redis://127.0.0.1:{port}").ping()
        assert not valkey.is_ready(valkey.url("wrong", tmp_path / "a socket"))
        assert (tmp_path / "a socket").stat().st_mode & 0o777 == 0o700, "for this user alone"
        assert valkey.is_ready(server.url)
    finally:
        server.stop()


def test_data_and_the_users_of_nodes_survive_a_restart(tmp_path: Path) -> None:
    port = free_port()
    server = Server(tmp_path, port, "right")
    server.client.set("kept", "yes")
    server.client.acl_setuser("node-1", enabled=True, passwords="+secret", keys=["node:1:*"], commands=["+get"])
    server.client.acl_save()
    server.stop()
    server = Server(tmp_path, port, "right")
    try:
        assert server.client.get("kept") == b"yes"
        assert "node-1" in server.client.acl_users()
        node = redis.Redis.from_url(f"redis://node-1:secret@127.0.0.1:{port}")
        assert node.get("node:1:x") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            node.get("kept")
    finally:
        server.stop()


def test_a_folder_with_a_space_in_its_name_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    server = Server(folder, free_port(), "right")
    server.stop()
    assert (folder / "appendonlydir").is_dir()
