// A microservice in NestJS, with the KafkaJS-like API of @confluentinc/kafka-javascript as its transport: bills each order.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CustomTransportStrategy, EventPattern, Payload, Server } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { KafkaJS } from '@confluentinc/kafka-javascript';

const ORDERS = 6;
const common = {
  'bootstrap.servers': process.env.KAFKA,
  log_level: 3,
  ...(process.env.PLUGIN && { 'plugin.library.paths': process.env.PLUGIN }),
} as any;
const kafka = new KafkaJS.Kafka({});
const producer = kafka.producer({ ...common, 'linger.ms': 1 });

/** As Nest's documentation writes a transport of one's own. */
class Confluent extends Server<any, any> implements CustomTransportStrategy {
  readonly consumer = kafka.consumer({ ...common, 'group.id': 'billing', 'auto.offset.reset': 'earliest' });

  async listen(callback: () => void) {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [...this.messageHandlers.keys()] });
    await this.consumer.run({
      eachMessage: async ({ topic, message }) => {
        const handler = this.getHandlerByPattern(topic)!;
        const result = this.transformToObservable(await handler(String(message.value), undefined));
        await lastValueFrom(result, { defaultValue: undefined });
      },
    });
    callback();
  }

  async close() { await this.consumer.disconnect(); }
  on() { throw new Error('it has no events'); }
  unwrap<T>(): T { return this.consumer as T; }
}

let left = ORDERS;
let over: () => void;
const allBilled = new Promise<void>((done) => { over = done; });

@Controller()
class Bills {
  @EventPattern('orders')
  async bill(@Payload() order: string) {
    await new Promise((done) => { setTimeout(done, 3); });
    await producer.send({ topic: 'bills', messages: [{ value: order, partition: 0 }] });
    left -= 1;
    if (left === 0) over();
  }
}

@Module({ controllers: [Bills] })
class Billing {}

async function main() {
  await producer.connect();
  await producer.send({ topic: 'orders', messages: Array.from({ length: ORDERS }, (_, order) => ({ value: String(order) })) });
  const strategy = new Confluent();
  const app = await NestFactory.createMicroservice(Billing, { strategy, logger: ['error'] });
  await app.listen();
  await allBilled;
  await app.close();
  await producer.disconnect();
}

main().catch((error) => { console.error(error); process.exit(1); });
