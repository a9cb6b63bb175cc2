<?php
$kafka = ['bootstrap.servers' => getenv('KAFKA'), 'plugin.library.paths' => getenv('PLUGIN')];

function configuration(array $properties) {
    $conf = new RdKafka\Conf();
    foreach ($properties as $name => $value) $conf->set($name, $value);
    return $conf;
}

$is_shop = pcntl_fork() === 0; // Two services: the shop orders, and its parent is paid.
$producer = new RdKafka\Producer(configuration($kafka));
if ($is_shop) {
    $producer->newTopic('orders')->produce(RD_KAFKA_PARTITION_UA, 0, 'order 1');
    exit($producer->flush(10000));
}
$consumer = new RdKafka\KafkaConsumer(configuration($kafka + ['group.id' => 'payments', 'auto.offset.reset' => 'earliest']));
$consumer->subscribe(['orders']);
while (($order = $consumer->consume(1000))->err) continue;
$producer->newTopic('payments')->produce(RD_KAFKA_PARTITION_UA, 0, "paid: {$order->payload}");
$producer->flush(10000);
$consumer->close();
