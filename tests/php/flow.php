<?php
// Two services in one process: `front` sends orders and consumes payments, `back` makes the ones from the others. Nothing
// in this program passes a context on.
//
//     php flow.php

const ORDERS = 3;

/** The properties of every client, and these. `PLUGIN` is the one that has to do with tracing. */
function configuration(array $more): RdKafka\Conf
{
    $conf = new RdKafka\Conf();
    if (getenv('PLUGIN')) {
        $conf->set('plugin.library.paths', getenv('PLUGIN'));
    }
    $conf->set('bootstrap.servers', getenv('KAFKA'));
    foreach ($more as $name => $value) {
        $conf->set($name, $value);
    }
    return $conf;
}

/** A consumer of the topic's first partition, from the oldest message on. */
function consumer(string $group, string $topic): RdKafka\KafkaConsumer
{
    $consumer = new RdKafka\KafkaConsumer(configuration(['group.id' => $group, 'enable.auto.commit' => 'false']));
    $consumer->assign([new RdKafka\TopicPartition($topic, 0, RD_KAFKA_OFFSET_BEGINNING)]);
    return $consumer;
}

function next_message(RdKafka\KafkaConsumer $consumer): RdKafka\Message
{
    $message = $consumer->consume(20000);
    if ($message->err !== RD_KAFKA_RESP_ERR_NO_ERROR) {
        throw new Exception($message->errstr());
    }
    return $message;
}

/** Sends and waits for the acknowledgement. */
function send(RdKafka\Producer $producer, string $topic, string $value): void
{
    $producer->newTopic($topic)->produce(0, 0, $value);
    if ($producer->flush(20000) !== RD_KAFKA_RESP_ERR_NO_ERROR) {
        throw new Exception('not everything was acknowledged');
    }
}

// In a process of its own: a message that a thread began the trace of is no cause of what it sends.
$seller = pcntl_fork();
$producer = new RdKafka\Producer(configuration([]));
if ($seller === 0) {
    for ($order = 0; $order < ORDERS; $order++) {
        send($producer, 'orders', "order $order");
    }
    exit(0);
}
pcntl_waitpid($seller, $status);
$back = consumer('back', 'orders');
for ($order = 0; $order < ORDERS; $order++) {
    send($producer, 'payments', 'paid: ' . next_message($back)->payload);
}
$back->close();
$front = consumer('front', 'payments');
for ($order = 0; $order < ORDERS; $order++) {
    echo next_message($front)->payload, "\n";
}
$front->close();
