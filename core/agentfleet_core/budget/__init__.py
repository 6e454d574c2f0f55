"""Money: what a call may cost, which limits bound it, and the ledger that holds it before it is spent.

money, windows, usage, prices and limits are pure. ledger (with its Lua) and room touch
Redis. No float stands for money anywhere, and nothing is ever free because its price is not known.
"""
