"""Takes an order and is paid for it in a transaction; takes another, whose transaction is aborted."""

from clients import consumer, next_message, producer

orders = consumer("orders", enable_auto_commit=False)
payments = producer(transactional_id="billing", linger_ms=10_000)
payments.init_transactions(30)
for _ in range(2):
    order = next_message(orders)
    payments.begin_transaction()
    payments.produce("payments", b"paid: " + order.value())
    payments.send_offsets_to_transaction(orders.position(orders.assignment()), orders.consumer_group_metadata(), 30)
    if order.value() == b"orders 0":
        payments.commit_transaction(30)
    else:
        payments.abort_transaction(30)
orders.close()
