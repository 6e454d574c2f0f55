"""What the task types of the worker's tests run."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from agentfleet import HandlerFailed, TaskContext, tool

RUNS: Counter[str] = Counter()
"""How often each thing ran in this process, by task id and name."""
GATES: dict[str, asyncio.Event] = {}


def count(ctx: TaskContext, name: str) -> int:
    RUNS[f"{ctx.task_id} {name}"] += 1
    return RUNS[f"{ctx.task_id} {name}"]


async def greet(ctx: TaskContext, name: str) -> dict[str, str]:
    async def look_up(who: str) -> str:
        count(ctx, "look_up")
        return f"Hello, {who}"

    return {"greeting": await ctx.step("look-up", look_up, name)}


async def ask(ctx: TaskContext, question: str, **options: Any) -> dict[str, Any]:
    reply = await ctx.llm("answer", prompt=question, max_output_tokens=200, **options)
    return {"text": reply.text, "tier": reply.tier, "cost": reply.cost_nano_usd}


async def ask_plain_client(ctx: TaskContext, question: str, stream: bool = False) -> dict[str, Any]:
    request: Any = {"model": "fast", "max_tokens": 200, "messages": [{"role": "user", "content": question}]}
    if stream:
        async with ctx.client.messages.stream(**request) as events:
            text = "".join([part async for part in events.text_stream])
            message = await events.get_final_message()
        return {"text": text, "whole": text_of(message), "tokens": message.usage.output_tokens}
    message = await ctx.client.messages.create(**request)
    return {"text": text_of(message), "tokens": message.usage.output_tokens}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def leave_early(ctx: TaskContext, question: str) -> str:
    request: Any = {"model": "fast", "max_tokens": 200, "messages": [{"role": "user", "content": question}]}
    async with ctx.client.messages.stream(**request) as events:
        async for _ in events.text_stream:
            return "left"
    return "stayed"


async def call_path(ctx: TaskContext, method: str, path: str) -> int:
    """The answer's status. Through the SDK's own HTTP client: its request methods would tidy the path."""
    url = f"https://api.anthropic.com{path}"
    answer = await ctx.client._client.request(method, url, json={} if method == "POST" else None)
    return answer.status_code


TEXTS: dict[str, str] = {}


async def stream_then_fail_once(ctx: TaskContext, question: str) -> dict[str, Any]:
    request: Any = {"model": "fast", "max_tokens": 200, "messages": [{"role": "user", "content": question}]}
    async with ctx.client.messages.stream(**request) as events:
        text = text_of(await events.get_final_message())
    if ctx.task_id not in TEXTS:
        TEXTS[ctx.task_id] = text
        raise RuntimeError("once")
    return {"same": text == TEXTS[ctx.task_id]}


async def fail_beside_a_call(ctx: TaskContext, question: str) -> str:
    async def fail_once() -> None:
        await asyncio.sleep(0.1)  # the call is under way
        if count(ctx, "beside") == 1:
            raise RuntimeError("once")

    reply, _ = await asyncio.gather(ctx.llm("answer", prompt=question), fail_once())
    return reply.text


async def ignore_the_stop(ctx: TaskContext) -> str:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if count(ctx, "ignored") > 1:
                return "at last"


async def ignore_every_stop(ctx: TaskContext, gate: str) -> str:
    while not GATES[gate].is_set():
        try:
            await GATES[gate].wait()
        except asyncio.CancelledError:
            count(ctx, "ignored")
    return "at last"


async def three_calls(ctx: TaskContext, label: str) -> dict[str, Any]:
    costs = []
    for number in (1, 2, 3):
        prompt = "Go on. sim:" + json.dumps({"text": "Done.", "tokens": 30, "mark": f"{label}/{number}"})
        reply = await ctx.llm(f"call-{number}", prompt=prompt, max_output_tokens=60)
        costs.append(reply.cost_nano_usd)
    return {"label": label, "costs": costs}


async def ask_twice_at_once(ctx: TaskContext, question: str) -> list[str]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ctx.llm(name, prompt=question)) for name in ("one", "two")]
    return [task.result().text for task in asked]


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


RAISED: dict[str, Callable[[], BaseException]] = {
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "base": lambda: BaseException("odd"),
    "wordless": Wordless,
    "surrogate": lambda: ValueError("\ud800 bad"),
    "failed with a surrogate": lambda: HandlerFailed("\ud800 bad"),
    "group": lambda: BaseExceptionGroup(
        "several", [ExceptionGroup("inner", [ValueError("first")]), SystemExit(3)]
    ),
}


async def raise_it(ctx: TaskContext, what: str) -> None:
    raise RAISED[what]()


def raise_in_a_thread(ctx: TaskContext, what: str) -> None:
    raise RAISED[what]()


async def raise_in_a_step(ctx: TaskContext, what: str) -> None:
    await ctx.step("raises", raise_it, ctx, what)


async def raise_in_a_group(ctx: TaskContext, what: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raise_it(ctx, what))
        group.create_task(asyncio.sleep(60))


async def fail_first(ctx: TaskContext, times: int) -> dict[str, Any]:
    async def once() -> str:
        count(ctx, "once")
        return "done"

    done = await ctx.step("once", once)
    if count(ctx, "attempt") <= times:
        raise RuntimeError("the shop is closed")
    return {"once": done, "ran": RUNS[f"{ctx.task_id} once"]}


async def wait_for_gate(ctx: TaskContext, gate: str) -> dict[str, str]:
    await ctx.step("before", lambda: "ready")
    await ctx.step("gate", GATES[gate].wait)
    return {"gate": gate}


async def sleep_after_a_step(ctx: TaskContext, seconds: float) -> None:
    await ctx.step("first", lambda: {"found": 3})
    await asyncio.sleep(seconds)


async def sleep_in_a_step(ctx: TaskContext, seconds: float) -> None:
    await ctx.step("slow", asyncio.sleep, seconds)


async def sleep_only(ctx: TaskContext, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def return_an_object(ctx: TaskContext) -> object:
    return object()


async def return_megabytes(ctx: TaskContext) -> str:
    return "x" * 2_000_000


async def step_returns_megabytes(ctx: TaskContext) -> None:
    await ctx.step("download", lambda: "x" * 2_000_000)


async def swallow_everything(ctx: TaskContext) -> str:
    try:
        await asyncio.sleep(60)
    except BaseException:  # noqa: BLE001 -- what a bad handler does
        return "I was not told to stop"
    return "slept"


def plain_function(ctx: TaskContext, seconds: float) -> str:
    time.sleep(seconds)
    return "slept in a thread"


async def block_the_loop(ctx: TaskContext, seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 -- what a bad handler does


async def match_forever(ctx: TaskContext, text: str) -> bool:
    return re.fullmatch(r"(a+)+", text) is not None  # each letter doubles the work; no thread runs meanwhile


@tool
async def lookup_order(ctx: TaskContext, order: str) -> dict[str, str]:
    """Find an order by its number."""
    count(ctx, f"lookup_order {order}")
    return {"order": order, "status": "shipped", "key": ctx.idempotency_key()}


@tool
def megabytes(size: int) -> str:
    """Return much."""
    return "x" * size


@tool
def broken(order: str) -> str:
    """Fail."""
    raise KeyError(order)


async def flow_first(ctx: TaskContext, order: str) -> str:
    count(ctx, "first")
    return f"first {order}"


async def flow_left(ctx: TaskContext, first: str) -> str:
    async def inner() -> str:
        return f"left of {first}"

    return await ctx.step("inner", inner)


def flow_right(ctx: TaskContext, first: str, order: str) -> str:
    return f"right of {first} for {order}"


async def flow_join(ctx: TaskContext, flow_left: str, flow_right: str) -> dict[str, str]:
    return {"left": flow_left, "right": flow_right}


async def journal_without_end(ctx: TaskContext, size: int) -> str:
    for _ in range(20):
        await ctx.step("more", lambda: "x" * size)
    return "it had an end"


async def ask_again_after_a_retry(ctx: TaskContext, question: str) -> str:
    first = await ctx.llm("first", prompt=question, max_output_tokens=200)
    if ctx.attempt == 1:
        raise ValueError("not yet")
    second = await ctx.llm("second", prompt=first.text, max_output_tokens=200)
    return second.text
