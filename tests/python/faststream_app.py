"""An application of FastStream on confluent-kafka: a handler takes order after order, and pays each by its publisher."""

import asyncio
import os

from faststream import FastStream
from faststream.confluent import KafkaBroker

ORDERS = 10
broker = KafkaBroker(os.environ["KAFKA"], allow_auto_create_topics=False, logger=None)
app = FastStream(broker, logger=None)
done = 0


@broker.subscriber("orders", group_id="billing", auto_offset_reset="earliest")
async def handle(order: str):
    global done
    await asyncio.sleep(0.02)
    await broker.publish(f"paid {order}", "payments", partition=int(order.split()[-1]))
    done += 1
    if done == ORDERS:
        app.exit()


asyncio.run(app.run(log_level=40))
