"""Consumes and produces with asyncio's clients; the second message is idly waited for."""

import asyncio

from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

from clients import settings


async def main():
    orders = AIOConsumer(settings(group_id="readers"))
    await orders.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    payments = AIOProducer(settings(), batch_size=2)
    delivered = []
    for _ in range(2):
        order = await orders.poll(30)
        delivered.append(await payments.produce("payments", b"paid: " + order.value()))
    await payments.flush()
    for report in await asyncio.gather(*delivered):
        print(report.topic(), report.value().decode())
    # Idle: nothing comes any more.
    for _ in range(10):
        assert await orders.poll(0.2) is None
    await payments.close()
    await orders.close()


asyncio.run(main())
