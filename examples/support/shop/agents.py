"""Handlers: plain Python that is journaled step by step, so that a restart goes on where it stopped."""

from agentfleet import TaskContext
from shop.tools import lookup_order


async def delivery_complaint(ctx: TaskContext, order: str, message: str) -> dict[str, object]:
    """Look the order up, then answer the customer."""
    facts = await ctx.step("facts", lookup_order, order)
    reply = await ctx.llm(
        "reply",
        system="You answer customers whose parcel is late or lost. Be kind, say what happens next.",
        prompt=f"Delivery complaint about order {order}.\nThe facts: {facts}\nThe customer writes: {message}",
        max_output_tokens=400,
    )
    return {"order": order, "status": facts["status"], "reply": reply.text}


async def find_order(ctx: TaskContext, order: str) -> dict[str, object]:
    return await lookup_order(order)


async def book_courier(ctx: TaskContext, order: str) -> dict[str, object]:
    """The key is the same in every attempt, so that a restart books no second courier."""
    return {"order": order, "pickup": "tomorrow, 9 to 12", "booking": ctx.idempotency_key("courier")[-12:]}


async def write_letter(
    ctx: TaskContext, reason: str, find_order: dict[str, object], book_courier: dict[str, object]
) -> dict[str, object]:
    reply = await ctx.llm(
        "letter",
        prompt=f"Return letter for {find_order}, reason: {reason}, pickup: {book_courier['pickup']}.",
        max_output_tokens=300,
    )
    return {"letter": reply.text, "booking": book_courier["booking"]}
