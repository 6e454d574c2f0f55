"""A tool is a Python function with a typed signature; the schema that the model sees comes from it.

Nothing here knows a worker or a provider; a tool can be called like the function it is, in tests too.
"""

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from agentfleet.context import TaskContext
from agentfleet_core.errors import InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

MAX_DESCRIPTION = 10_000


class Tool(Generic[P, R]):
    """A function with its arguments' schema. A parameter typed `TaskContext` gets the task's context."""

    def __init__(self, function: Callable[P, R], *, name: str | None = None) -> None:
        self.function = function
        self.name = name or function.__name__
        self.description = inspect.cleandoc(function.__doc__ or "")[:MAX_DESCRIPTION]
        self._context_parameter, self._arguments = _read_signature(function, self.name)
        self.input_schema = _plain_schema(self._arguments)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name}>"

    def bind(self, arguments: Mapping[str, Any], context: TaskContext | None = None) -> Callable[[], Any]:
        """A call with checked and converted arguments. Raises `InvalidInput` that says what is wrong."""
        try:
            checked = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise InvalidInput(f"tool {self.name}: {_sentence(error)}") from error
        keywords = {field: getattr(checked, field) for field in self._arguments.model_fields}
        if self._context_parameter is not None:
            keywords[self._context_parameter] = context
        return functools.partial(cast("Callable[..., Any]", self.function), **keywords)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(*, name: str) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[P, R] | None = None, /, *, name: str | None = None) -> Any:
    """Make a function a tool: `@tool`, or `@tool(name=…)` when the model should see another name."""
    if function is None:
        return functools.partial(Tool, name=name)
    return Tool(function, name=name)


async def call_function(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a coroutine function on the loop, any other in a thread, so that it cannot block the loop."""
    inner = inspect.unwrap(function) if isinstance(function, Tool) else function
    target = inner.func if isinstance(inner, functools.partial) else inner
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004 -- asks whether the instance's call is a coroutine function
        return await function(*args, **kwargs)
    context = contextvars.copy_context()
    call = functools.partial(context.run, function, *args, **kwargs)
    result = await asyncio.get_running_loop().run_in_executor(None, call)
    return await result if inspect.isawaitable(result) else result


def _read_signature(function: Callable[..., Any], name: str) -> tuple[str | None, type[BaseModel]]:
    hints = get_type_hints(function, include_extras=True)
    context_parameter = None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidInput(
                f"tool {name}: parameter {parameter.name} must be one that can be given by name"
            )
        if parameter.name not in hints:
            raise InvalidInput(
                f"tool {name}: parameter {parameter.name} has no type; the schema comes from it"
            )
        if hints[parameter.name] is TaskContext:
            context_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    model = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    return context_parameter, model


def _plain_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def _sentence(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )
