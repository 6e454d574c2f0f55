"""What the budget storm's tasks run, in worker processes of their own."""

from typing import Any

from agentfleet import TaskContext


async def converse(ctx: TaskContext, calls: list[dict[str, Any]]) -> dict[str, int]:
    for number, call in enumerate(calls):
        await ctx.llm(f"call-{number}", prompt=call["prompt"], max_output_tokens=call["most"])
    return {"calls": len(calls)}
