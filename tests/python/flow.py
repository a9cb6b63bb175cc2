"""Two services in one process: the shop sends orders and gets payments; billing takes order by order and sends payments."""

import threading

from clients import next_message, producer, subscribed

ORDERS = 3


def billing():
    orders, payments = subscribed("orders"), producer()
    for _ in range(ORDERS):
        order = next_message(orders)
        payments.produce("payments", b"paid: " + order.value())
        payments.flush(30)
    orders.close()


biller = threading.Thread(target=billing)
biller.start()
shop = producer()
for number in range(ORDERS):
    shop.produce("orders", f"order {number}")
    shop.flush(30)
received = subscribed("payments")
for _ in range(ORDERS):
    print(next_message(received).value().decode())
received.close()
biller.join()
