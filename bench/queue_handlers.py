"""What bench.queue's tasks do: one journaled step."""

import time
from typing import Any

from agentfleet import TaskContext


async def one_step(ctx: TaskContext, number: int, sent_at: float) -> dict[str, Any]:
    waited_ms = (time.time() - sent_at) * 1000
    doubled = await ctx.step("double", _double, number)
    return {"number": number, "doubled": doubled, "waited_ms": waited_ms}


async def _double(number: int) -> int:
    return number * 2
