"""Agents as Faust has them: a coroutine that loops over a stream of orders, of which several run at a time; one task reads for all."""

import asyncio

from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

from clients import settings

ORDERS = 10
AGENTS = 3


class Stream:
    """What a topic gives to one agent after the other."""

    def __init__(self, queue):
        self._queue = queue

    def __aiter__(self):
        return self

    async def __anext__(self):
        order = await self._queue.get()
        if order is None:
            raise StopAsyncIteration
        return order


async def agent(orders, payments):
    async for order in orders:
        await asyncio.sleep(0.02)
        await payments.produce("payments", order.value(), partition=int(order.value().split()[-1]))


async def main():
    reader, payments = AIOConsumer(settings(group_id="agents")), AIOProducer(settings(), batch_size=4)
    await reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    queue = asyncio.Queue()
    agents = [asyncio.create_task(agent(Stream(queue), payments)) for _ in range(AGENTS)]
    for _ in range(ORDERS):
        await queue.put(await reader.poll(30))
    for _ in agents:
        await queue.put(None)
    await asyncio.gather(*agents)
    await payments.flush()
    await payments.close()
    await reader.close()


asyncio.run(main())
