"""Tools that the shop's agents may call."""

from agentfleet import tool
from shop.orders import ORDERS


@tool
async def lookup_order(order: str) -> dict[str, object]:
    """Find an order by its number: what was bought, its price, its status, and days since delivery."""
    found = ORDERS.get(order)
    if found is None:
        return {"order": order, "status": "unknown", "hint": "ask the customer for the number on the invoice"}
    return {"order": order, **found}
