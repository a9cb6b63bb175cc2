"""Consumes order by order and commits each: `sync`, `async`, or `store`, which commits when it is closed."""

import sys

from clients import next_message, subscribed

how = sys.argv[1]
store = how == "store"
orders = subscribed("orders", enable_auto_commit=store, enable_auto_offset_store=False)
for _ in range(3):
    order = next_message(orders)
    if store:
        orders.store_offsets(order)
    else:
        orders.commit(order, asynchronous=how == "async")
if store:
    orders.commit(asynchronous=False)
print([offset.offset for offset in orders.committed(orders.assignment(), 10)])
orders.close()
