"""What the docstrings and Lua files say of themselves is what the checked contracts hold."""

import ast
import configparser
import re
from pathlib import Path

import pytest

from agentfleet_core.keyspace.keys import FleetKeys, PoolKeys, TenantKeys
from agentfleet_core.settings import FleetId

ROOT = Path(__file__).parents[2]
PACKAGES = ("sdk", "core", "operator", "coordinator", "worker", "cli")
CLOCKS_AND_CLIENTS = {"redis", "asyncio", "time", "random", "logging"}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT / package).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def pure_contracts() -> dict[str, set[str]]:
    """Contract to the modules that it keeps from clocks and clients."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return {
        name: set(section["source_modules"].split())
        for name, section in parser.items()
        if section.get("type") == "forbidden"
        and set(section["forbidden_modules"].split()) >= CLOCKS_AND_CLIENTS
    }


def stands_in(module: str, listed: set[str]) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:length]) in listed for length in range(1, len(parts) + 1))


def says_pure(path: Path) -> bool:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").startswith("PURE")


def test_every_module_that_says_pure_is_held_to_it() -> None:
    listed = set().union(*pure_contracts().values())
    pure = [name for name, path in modules().items() if says_pure(path)]
    assert len(pure) > 50, "the docstrings were found"
    assert [name for name in sorted(pure) if not stands_in(name, listed)] == []


def test_the_contracts_name_modules_that_exist() -> None:
    there = set(modules())
    assert {name: listed - there for name, listed in pure_contracts().items() if listed - there} == {}


FLEET = FleetId("i", "n")
POOL = PoolKeys(FLEET, "p")
ID = "p.ID"
NAMED = {
    "queue": {
        POOL.task(ID).removesuffix("ID"), POOL.events(ID).removesuffix("ID"),
        POOL.lanes(""), POOL.deferred(""), POOL.stream("", "").removesuffix(":"),
    },
    "budget": {TenantKeys(FLEET, "t").hold(""), TenantKeys(FLEET, "t").limit("")},
    "fleet": set[str](),
}  # fmt: skip
"""Prefixes of the keys that methods make."""
OWNERS = {"queue": POOL, "budget": TenantKeys(FLEET, "t"), "fleet": FleetKeys(FLEET)}
BUILT = re.compile(r"tag\s*\.\.\s*'([^']*)'")


def properties(keys: PoolKeys | TenantKeys | FleetKeys) -> set[str]:
    return {getattr(keys, name) for name, value in vars(type(keys)).items() if isinstance(value, property)}


@pytest.mark.parametrize("folder", sorted(OWNERS))
def test_every_key_that_lua_builds_is_named_in_keys(folder: str) -> None:
    keys = OWNERS[folder]
    known = properties(keys) | NAMED[folder]
    built = {
        (path.name, name)
        for path in (ROOT / "core/agentfleet_core" / folder).rglob("*.lua")
        for name in BUILT.findall(path.read_text())
    }
    assert [(file, name) for file, name in sorted(built) if f"{keys.tag}{name}" not in known] == []


def test_every_key_of_a_pool_is_one_that_a_script_builds() -> None:
    built = {
        f"{POOL.tag}{name}"
        for path in (ROOT / "core/agentfleet_core/queue").rglob("*.lua")
        for name in BUILT.findall(path.read_text())
    }
    assert (properties(POOL) | NAMED["queue"]) - {POOL.tag} - built == set()
