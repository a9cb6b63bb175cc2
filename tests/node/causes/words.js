// What the shapes of `causes.js` are made of.
'use strict';

const { KafkaConsumer, Producer, give, sent } = require('node-rdkafka');

const COUNT = 40;

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const aWhile = () => sleep(Math.random() * 5);
const producer = new Producer();

/** What is sent for a message. */
const bill = ({ value }) => producer.produce('bills', 0, Buffer.from(value));
const forward = ({ value }) => producer.produce('bills', 0, value);
/** What is sent for no message. */
const beat = () => producer.produce('beats', 0, null);
const billLater = async (order) => { await aWhile(); bill(order); };

/** As a database does over one connection: what answers is nothing that the message has begun. */
const questions = [];
const asking = setInterval(() => { if (questions.length > 0) questions.shift()(); }, 1);
asking.unref();
const ask = () => new Promise((done) => { questions.push(done); });

/** The same over several connections. */
const many = [];
const askingMany = setInterval(() => {
  for (let left = Math.ceil(many.length / 8); left > 0; left -= 1) many.splice(Math.floor(Math.random() * many.length), 1)[0]();
}, 1);
askingMany.unref();
const askAny = () => new Promise((done) => { many.push(done); });

const consumer = new KafkaConsumer();
const take = (number) => new Promise((done) => consumer.consume(number, (error, messages) => done(messages)));

/** Goes on with `work` for lists of seven. */
async function lists(work) {
  for (;;) {
    const messages = await take(7);
    if (messages.length === 0) return;
    await work(messages);
  }
}

/** Lets `listener` listen, and waits until so much is sent. */
async function listening(listener, count = COUNT) {
  consumer.on('data', listener).consume();
  while (sent.length < count) await sleep(5);
}

/** Several rounds of messages, some of them one at a time, and so many milliseconds more. A listener that waits for ever is not waited for. */
async function rounds(listener, number = 4, more = 0) {
  consumer.on('data', listener);
  for (let round = 0; round < number; round += 1) {
    consumer.consume();
    await sleep(30);
    for (let order = 0; order < 10; order += 1) {
      give(1);
      consumer.consume();
      await sleep(2);
    }
    give(COUNT);
  }
  await sleep(more);
  consumer.removeAllListeners();
}

/** As many messages once more, for another listener. */
function again() {
  consumer.removeAllListeners();
  give(COUNT);
}

module.exports = { COUNT, aWhile, again, ask, askAny, beat, bill, billLater, consumer, forward, listening, lists, producer, rounds, sleep, take };
