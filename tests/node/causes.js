// Programs in which something else goes on beside the messages: what is sent for a message follows from it, or in some shapes
// from nothing, and what is sent for none from nothing. Says `right`, or what is not.
//
//     node --require …/layer/register.js causes.js SHAPE
//
// with `fake` in NODE_PATH, and packages that programs use in PACKAGES, for the shapes that are named after one.
'use strict';

const dgram = require('dgram');
const EventEmitter = require('events');
const fs = require('fs');
const net = require('net');
const http = require('http');
const os = require('os');
const path = require('path');
const { Worker } = require('worker_threads');
const { KafkaConsumer, Producer, give, sent } = require('node-rdkafka');

const [, , SHAPE] = process.argv;
const COUNT = 40;
const load = (name) => require(path.join(process.env.PACKAGES, name));

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const aWhile = () => sleep(Math.random() * 5);
const producer = new Producer();
/** What is sent for a message. */
const bill = ({ value }) => producer.produce('bills', 0, Buffer.from(value));
const forward = ({ value }) => producer.produce('bills', 0, value);
/** What is sent for no message. */
const beat = () => producer.produce('beats', 0, null);
const billLater = async (order) => { await aWhile(); bill(order); };
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

async function handleAll(orders) { for (const order of orders) await billLater(order); }

const SHAPES = {
  // What a caller sends after it has called a function with a loop, and does not wait.
  async 'loop, not awaited'() {
    await lists((orders) => { const done = handleAll(orders); beat(); return done; });
  },
  async 'loop, not awaited, and later'() {
    await lists(async (orders) => {
      const done = handleAll(orders);
      queueMicrotask(beat);
      process.nextTick(beat);
      setTimeout(beat, 1);
      setImmediate(beat);
      await null;
      beat();
      await sleep(2);
      beat();
      await done;
      beat();
    });
  },
  async 'loop, two at once'() {
    await lists(async (orders) => {
      const half = [orders.slice(0, 3), orders.slice(3)];
      const done = half.map(handleAll);
      beat();
      await Promise.all(done);
      beat();
    });
  },
  async 'loop in a callback'() {
    for (let list = 0; list < COUNT / 8; list += 1) {
      await new Promise((done) => consumer.consume(8, (error, orders) => { handleAll(orders).then(done); beat(); }));
    }
  },
  async 'loop within a loop'() {
    await lists(async (orders) => {
      const outer = async () => {
        for (const order of orders.slice(0, 1)) {
          const others = handleAll(orders.slice(1));
          bill(order);
          await aWhile();
          await others;
        }
      };
      const done = outer();
      beat();
      await done;
    });
  },
  async 'loop that begins others'() {
    const all = [];
    const begin = (orders) => { for (const order of orders) all.push(billLater(order)); };
    await lists((orders) => { begin(orders); beat(); });
    await Promise.all(all);
  },
  async 'loop that sends at once'() {
    const handle = async (orders) => { for (const order of orders) { bill(order); await aWhile(); bill(order); } };
    await lists((orders) => { const done = handle(orders); beat(); return done; });
  },
  async 'functions for each'() {
    await lists((orders) => { orders.forEach(billLater); orders.forEach(bill); beat(); });
    await lists(async (orders) => { const all = orders.map(billLater); beat(); await Promise.all(all); beat(); });
    await sleep(10);
  },
  /** Who asks for the next one by hand may be at work on something else. */
  async 'iterator asked by hand'() {
    let orders;
    await lists((some) => { orders = orders || some.values(); });
    give(COUNT);
    await listening(async (order) => {
      orders.next();
      await billLater(order);
      bill(order);
    }, COUNT * 2);
  },
  async 'loops that share an iterator'() {
    for (const shared of [(orders) => orders.values(), (orders) => orders[Symbol.iterator]()]) {
      give(COUNT);
      await lists(async (orders) => {
        const iterator = shared(orders);
        const loops = Array.from({ length: 3 }, async () => {
          for (const order of iterator) { await billLater(order); bill(order); }
          beat();
        });
        beat();
        await Promise.all(loops);
      });
    }
  },
  /** When it has no more, what the others were at is left, and nobody knows where. */
  async 'loops that share a generator, cut'() {
    function* values(orders) { for (const order of orders) yield order; }
    await lists(async (orders) => {
      const iterator = values(orders);
      const loops = Array.from({ length: 3 }, async () => {
        for (const order of iterator) { await billLater(order); bill(order); }
        beat();
      });
      beat();
      await Promise.all(loops);
    });
  },
  async 'loop that fails'() {
    const handle = async (orders) => {
      for (const order of orders) { bill(order); if (order.offset % 3 === 2) throw new Error('no'); await aWhile(); }
    };
    await lists(async (orders) => {
      const done = handle(orders).catch(() => beat());
      beat();
      await done;
      beat();
    });
  },
  async 'loop that ends early'() {
    const handle = (orders) => { for (const order of orders) { bill(order); break; } beat(); };
    const waiting = async (orders) => { for (const order of orders) { await billLater(order); return; } };
    await lists((orders) => { handle(orders); beat(); const done = waiting(orders); beat(); return done; });
  },
  /** Their own values are sent on. */
  async 'by index'() {
    await lists(async (orders) => {
      for (let at = 0; at < orders.length; at += 1) { const order = orders[at]; await aWhile(); forward(order); beat(); }
      const last = orders.pop();
      setTimeout(() => forward(last), 2);
    });
    await sleep(10);
  },
  async entries() {
    const handle = async (orders) => { for (const [, order] of orders.entries()) await billLater(order); };
    await lists((orders) => { const done = handle(orders); beat(); return done; });
  },
  async 'deep recursion'() {
    const deep = (depth, work) => (depth === 0 ? work() : deep(depth - 1, work));
    await lists((orders) => { const done = deep(150, () => handleAll(orders)); beat(); return done; });
  },
  /** There the loop is not looked for. */
  async 'very deep recursion, cut'() {
    const deep = (depth, work) => (depth === 0 ? work() : deep(depth - 1, work));
    await lists((orders) => { const done = deep(1000, () => handleAll(orders)); beat(); return done; });
  },
  async generator() {
    function* values(orders) { for (const order of orders) yield { value: order.value }; }
    const handle = async (orders) => {
      for (const order of values(orders)) {
        const later = billLater(order);
        bill(order);
        await later;
        bill(order);
      }
    };
    await lists((orders) => { const done = handle(orders); beat(); return done; });
  },
  /** As compilers write `async` for engines without it. */
  async 'generator driven by promises'() {
    const awaiter = (made) => new Promise((resolve, reject) => {
      const fulfilled = (value) => { try { step(made.next(value)); } catch (error) { reject(error); } };
      const rejected = (value) => { try { step(made.throw(value)); } catch (error) { reject(error); } };
      const adopt = (value) => (value instanceof Promise ? value : new Promise((done) => { done(value); }));
      function step(result) {
        if (result.done) resolve(result.value); else adopt(result.value).then(fulfilled, rejected);
      }
      step(made.next());
    });
    const handle = (orders) => awaiter((function* each() {
      for (const order of orders) { bill(order); yield null; yield billLater(order); }
    }()));
    await lists((orders) => { const done = handle(orders); beat(); return done; });
  },
  async 'async generator'() {
    async function* values(orders) { for (const order of orders) { await aWhile(); bill(order); yield order; } }
    const handle = async (orders) => { for await (const order of values(orders)) { await aWhile(); } };
    await lists((orders) => { const done = handle(orders); beat(); return done; });
  },
  /** It is asked for the next one in the middle of something else. */
  async 'async generator asked by hand, cut'() {
    async function* values() {
      const orders = await take(COUNT);
      for (const order of orders) yield order;
    }
    const iterator = values();
    for (;;) {
      const asked = iterator.next();
      beat();
      const { done, value } = await asked;
      if (done) break;
      bill(value);
      await null;
      beat();
    }
  },
  async 'stream, for await'() {
    const stream = KafkaConsumer.createReadStream();
    const handle = async () => { for await (const order of stream) await billLater(order); };
    const done = handle();
    const beating = setInterval(beat, 1);
    beat();
    await done;
    clearInterval(beating);
  },
  // What lives longer than the message that it was made for.
  async interval() {
    let beating;
    await listening(async (order) => {
      beating = beating || setInterval(beat, 1);
      await billLater(order);
    }, COUNT * 4);
    clearInterval(beating);
  },
  async 'interval, not awaited'() {
    let beating;
    await listening((order) => { beating = beating || setInterval(beat, 1); billLater(order); }, COUNT * 4);
    clearInterval(beating);
  },
  async 'timer again and again'() {
    let isBeating = false;
    const again = () => { beat(); setTimeout(again, 1); };
    await listening(async (order) => {
      if (!isBeating) { isBeating = true; setTimeout(again, 40); }
      await billLater(order);
    }, COUNT * 2);
    setImmediate(() => process.exit());
  },
  async 'timer again and again, not awaited'() {
    let isBeating = false;
    // The first of each is what the message began.
    const started = new Set();
    const again = () => { if (started.has(again)) beat(); started.add(again); setTimeout(again, 1); };
    const atOnce = () => { if (started.has(atOnce)) beat(); started.add(atOnce); setImmediate(atOnce); };
    await listening((order) => {
      if (!isBeating) { isBeating = true; setTimeout(again, 1); setImmediate(atOnce); }
      billLater(order);
    }, COUNT * 2);
    setImmediate(() => process.exit());
  },
  async 'signals, files, pipes and datagrams'() {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'causes-')), 'file');
    fs.writeFileSync(file, '');
    const heard = new Set();
    const hear = (name) => () => { heard.add(name); beat(); };
    let isListening = false;
    let socket;
    await listening((order) => {
      if (!isListening) {
        isListening = true;
        process.on('SIGUSR2', hear('signal'));
        fs.watch(file, hear('file'));
        fs.watchFile(file, { interval: 5 }, hear('stat'));
        net.createServer(hear('pipe')).listen(`${file}.pipe`);
        socket = dgram.createSocket('udp4', hear('datagram')).bind(0, '127.0.0.1');
      }
      billLater(order);
    });
    while (!fs.existsSync(`${file}.pipe`)) await sleep(1);
    while (heard.size < 5) {
      process.kill(process.pid, 'SIGUSR2');
      fs.appendFileSync(file, 'x');
      net.connect(`${file}.pipe`).on('error', () => {}).destroy();
      socket.send('x', socket.address().port, '127.0.0.1');
      await sleep(5);
    }
    fs.rmSync(path.dirname(file), { recursive: true });
    setImmediate(() => process.exit());
  },
  async socket() {
    const server = net.createServer((peer) => peer.pipe(peer)).listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    let socket;
    const answers = [];
    await listening((order) => {
      if (!socket) {
        socket = net.connect(server.address().port, '127.0.0.1');
        socket.on('data', (data) => { beat(); for (const {} of String(data).match(/;/g) || []) answers.shift()(); });
      }
      new Promise((done) => { answers.push(done); socket.write(`${order.value};`); }).then(() => bill(order));
    }, COUNT + 1);
    while (sent.filter(({ topic }) => topic === 'bills').length < COUNT) await sleep(5);
    socket.destroy();
    server.close();
  },
  async 'web server and requests'() {
    let server;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    const post = (order) => new Promise((done) => {
      const { port } = server.address();
      http.get({ port, agent, path: `/${order.value}` }, (response) => {
        bill(order);
        response.resume().on('end', () => { bill(order); done(); });
      });
    });
    await listening(async (order) => {
      if (!server) {
        server = http.createServer((request, response) => { beat(); response.end('yes'); }).listen(0, '127.0.0.1');
        await new Promise((done) => server.once('listening', done));
      }
      while (!server.listening) await sleep(1);
      await post(order);
    }, COUNT * 3);
    agent.destroy();
    server.close();
  },
  async worker() {
    let worker;
    const answers = new Map();
    await listening((order) => {
      if (!worker) {
        worker = new Worker("const { parentPort } = require('worker_threads'); parentPort.on('message', (m) => parentPort.postMessage(m));",
          { eval: true });
        worker.on('message', (number) => { beat(); answers.get(number)(); });
      }
      new Promise((done) => { answers.set(order.offset, done); worker.postMessage(order.offset); }).then(() => bill(order));
    }, COUNT * 2);
    await worker.terminate();
  },
  async 'listener of another message'() {
    const emitter = new EventEmitter();
    await listening(async (order) => {
      await aWhile();
      if (emitter.listenerCount('work') === 0) emitter.on('work', bill);
      emitter.emit('work', order);
    });
  },
  async 'memoized promise'() {
    let shared;
    await listening(async (order) => {
      shared = shared || sleep(10);
      await shared;
      bill(order);
    });
  },
  async 'promise resolved by another message'() {
    let release;
    let gate = new Promise((done) => { release = done; });
    await listening(async (order) => {
      if (order.offset % 4 === 3) { await aWhile(); release(); gate = new Promise((done) => { release = done; }); } else await gate;
      bill(order);
    });
  },
  async 'ticks and microtasks'() {
    await listening((order) => {
      process.nextTick(() => setImmediate(() => queueMicrotask(() => setTimeout(() => bill(order), 2))));
    });
  },
  /** One loop works at what all messages put there, in the context of the one that began it. */
  async 'queue of the program, cut'() {
    for (const isOfAsync of [false, true]) {
      const queue = [];
      let isBusy = false;
      const work = async () => {
        isBusy = true;
        while (queue.length > 0) { const order = queue.shift(); await billLater(order); bill(order); }
        isBusy = false;
      };
      const put = (order) => { queue.push(order); if (!isBusy) work(); };
      const before = sent.length;
      await listening(isOfAsync ? async (order) => put(order) : put, before + COUNT * 2);
      consumer.removeAllListeners();
      give(COUNT);
    }
  },
  async 'queue of the program, filled by a loop, cut'() {
    const queue = [];
    await lists(async (orders) => {
      for (const order of orders) {
        queue.push(order);
        if (queue.length === 1) setTimeout(() => { while (queue.length > 0) bill(queue.shift()); }, 3);
      }
      while (queue.length > 0) await sleep(1);
    });
  },
  /** The messages' own values are sent on. */
  async 'queue of the program, that passes on'() {
    const queue = [];
    let isBusy = false;
    const work = async () => {
      isBusy = true;
      while (queue.length > 0) { forward(queue.shift()); await aWhile(); }
      isBusy = false;
    };
    await listening((order) => { queue.push(order); if (!isBusy) work(); });
  },
  /** The same, one at a time: then each begins its own. */
  async 'queue of the program, at leisure'() {
    const queue = [];
    const work = async () => { while (queue.length > 0) await billLater(queue.shift()); };
    for (let order = 0; order < COUNT; order += 1) {
      if (order > 0) give(1);
      await new Promise((done) => consumer.consume(1, (error, orders) => { queue.push(...orders); work().then(done); }));
    }
  },
  async 'messages of no interest before'() {
    for (let order = 0; order < COUNT; order += 1) {
      await new Promise((done) => consumer.consume(1, (error, [one]) => {
        if (one.offset % 2 === 0) done(); else billLater(one).then(done);
      }));
    }
  },
  async 'list that is gone through twice'() {
    await lists((orders) => {
      let length = 0;
      for (const order of orders) length += order.value.length;
      const all = orders.map((order) => order.value.length);
      for (const order of orders) billLater(order);
      return length + all.length;
    });
    await sleep(20);
  },
  /** A batch of the program's own, which a message's wait began. */
  async dataloader() {
    const DataLoader = load('dataloader');
    const loader = new DataLoader(async (keys) => { await aWhile(); return keys; });
    await listening(async (order) => { await loader.load(order.offset); bill(order); });
  },
  async 'generic-pool'() {
    const pool = load('generic-pool').createPool(
      { create: async () => { await aWhile(); return {}; }, destroy: async () => {} }, { max: 3 });
    await listening(async (order) => {
      const one = await pool.acquire();
      await billLater(order);
      await pool.release(one);
      bill(order);
    }, COUNT * 2);
    await pool.drain();
    await pool.clear();
  },
  async fastq() {
    const queue = load('fastq')((order, done) => { bill(order); billLater(order).then(() => done(), done); }, 3);
    await listening((order) => { queue.push(order); }, COUNT * 2);
  },
  async 'fastq, promises'() {
    const queue = load('fastq').promise(async (order) => { bill(order); await billLater(order); }, 3);
    await listening(async (order) => { await queue.push(order); }, COUNT * 2);
  },
  async 'async.queue'() {
    const queue = load('async').queue((order, done) => { bill(order); billLater(order).then(() => done(), done); }, 3);
    await listening((order) => { queue.push(order); }, COUNT * 2);
  },
  /** It runs what was put there for one message in the context of another, which is over by then: nothing is said. */
  async 'p-queue, cut'() {
    const { default: PQueue } = await import(path.join(process.env.PACKAGES, 'p-queue/dist/index.js'));
    const queue = new PQueue({ concurrency: 3 });
    await listening(async (order) => { await queue.add(async () => { await billLater(order); bill(order); }); }, COUNT * 2);
  },
  async 'p-limit'() {
    const { default: pLimit } = await import(path.join(process.env.PACKAGES, 'p-limit/index.js'));
    const limit = pLimit(3);
    await listening(async (order) => { await limit(async () => { bill(order); await billLater(order); }); }, COUNT * 2);
  },
};

/** What needs packages. */
const PACKAGED = /^(?:dataloader|generic-pool|fastq|async\.|p-)/;

async function main() {
  give(COUNT);
  await SHAPES[SHAPE]();
  const bills = sent.filter(({ topic }) => topic === 'bills');
  const wrong = sent.filter(({ about, cause }) => cause !== undefined && cause !== about);
  const cut = bills.filter(({ cause }) => cause === undefined);
  const isRight = wrong.length === 0 && bills.length > 0 && (cut.length === 0) !== SHAPE.endsWith('cut');
  console.log(isRight ? 'right' : `${bills.length} bills, of which ${cut.length} have no cause; ${wrong.length} wrong causes of ${sent.length}`);
}

if (SHAPE === undefined) console.log(Object.keys(SHAPES).filter((shape) => process.env.PACKAGES || !PACKAGED.test(shape)).join('\n'));
else main().catch((error) => { console.error(error); process.exit(1); });
