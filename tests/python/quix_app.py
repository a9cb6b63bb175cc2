"""An application of Quix Streams: a pipeline that takes order after order, and pays every other one.

`quix_app.py [PREFIX]`: on a cluster that says how its topics are configured, with this before the names of topics and group.
"""

import os
import sys

from quixstreams import Application
from quixstreams.models import TopicAdmin, TopicConfig

ORDERS = 10


def inspected(self, topics, timeout=0):
    return {topic: TopicConfig(10, 1, {"message.timestamp.type": "CreateTime"}) for topic in topics}


PREFIX = "".join(sys.argv[1:])
if not PREFIX:
    # The cluster of the tests does not say.
    TopicAdmin.inspect_topics = inspected

app = Application(
    broker_address=os.environ["KAFKA"],
    consumer_group=f"{PREFIX}billing",
    auto_offset_reset="earliest",
    auto_create_topics=False,
    loglevel="ERROR",
)
orders = app.topic(f"{PREFIX}orders", value_deserializer="bytes")
payments = app.topic(f"{PREFIX}payments", value_serializer="bytes")
stream = app.dataframe(orders)
stream = stream[stream.apply(lambda order: int(order.split()[-1]) % 2 == 0)]
stream = stream.apply(lambda order: b"paid " + order)
stream.to_topic(payments, key=lambda payment: payment)
app.run(count=ORDERS, timeout=20)
