"""Loads users' code: `module:function`, from the worker's image or the folder it was started in.

A name that cannot be loaded fails its task, not the worker; it is tried again for the next task, since a
failed import may have been another thing's fault.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agentfleet import Tool
from agentfleet_core.errors import CodeMissing, InvalidInput


class Code:
    """`told` hears of each function that could not be loaded and why, and, with "", of one that could."""

    def __init__(self, told: Callable[[str, str], None] = lambda path, why: None) -> None:
        self._told = told
        self._functions: dict[str, Callable[..., Any]] = {}
        self._tools: dict[str, Tool[..., Any]] = {}

    def function(self, path: str) -> Callable[..., Any]:
        """Raises `CodeMissing`."""
        found = self._functions.get(path)
        if found is None:
            with self._telling(path):
                found = self._functions[path] = _load(path)
        return found

    def tool(self, path: str) -> Tool[..., Any]:
        """A function without the decorator is made a tool. Raises `CodeMissing`, also for an unfit
        signature.
        """
        found = self._tools.get(path)
        if found is None:
            with self._telling(path):
                found = self._tools[path] = _as_tool(path, self._functions.get(path) or _load(path))
        return found

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        try:
            yield
        except CodeMissing as error:
            self._told(path, str(error))
            raise
        self._told(path, "")


def _as_tool(path: str, function: Callable[..., Any]) -> Tool[..., Any]:
    try:
        return function if isinstance(function, Tool) else Tool(function)
    except (InvalidInput, NameError) as error:
        raise CodeMissing(f"{path} cannot be a tool: {error}") from error


def _load(path: str) -> Callable[..., Any]:
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # an import runs users' code: whatever it raises, the task shall say it
        raise CodeMissing(
            f"{path}: module {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, name, None)
    if function is None:
        raise CodeMissing(f"{path}: module {module_name} has no {name}")
    if not callable(function):
        raise CodeMissing(f"{path}: {name} is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]  # callable() narrows to an untyped callable
