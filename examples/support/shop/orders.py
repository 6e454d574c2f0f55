"""The shop's orders. A real shop would ask its database here."""

ORDERS: dict[str, dict[str, object]] = {
    "A-1001": {"item": "espresso machine", "price_usd": "249.00", "status": "delivered", "days_ago": 3},
    "A-1002": {"item": "wool blanket", "price_usd": "79.00", "status": "delivered", "days_ago": 12},
    "A-1003": {"item": "desk lamp", "price_usd": "45.50", "status": "in transit", "days_ago": 0},
    "A-1004": {"item": "hiking boots, size 43", "price_usd": "129.00", "status": "delivered", "days_ago": 41},
    "A-1005": {"item": "set of six glasses", "price_usd": "38.00", "status": "delivered", "days_ago": 1},
    "A-1006": {"item": "e-reader", "price_usd": "139.00", "status": "lost by the courier", "days_ago": 0},
    "A-1007": {"item": "cast iron pan", "price_usd": "54.90", "status": "delivered", "days_ago": 8},
    "A-1008": {"item": "rain jacket, size M", "price_usd": "99.00", "status": "delivered", "days_ago": 19},
    "B-2001": {"item": "standing desk", "price_usd": "419.00", "status": "delivered", "days_ago": 5},
    "B-2002": {"item": "office chair", "price_usd": "289.00", "status": "in transit", "days_ago": 0},
    "B-2003": {"item": "monitor arm", "price_usd": "89.00", "status": "delivered", "days_ago": 2},
    "B-2004": {"item": "mechanical keyboard", "price_usd": "119.00", "status": "delivered", "days_ago": 27},
    "B-2005": {"item": "webcam", "price_usd": "69.00", "status": "returned", "days_ago": 14},
    "B-2006": {"item": "paper shredder", "price_usd": "74.00", "status": "delivered", "days_ago": 33},
}
