// Loops over messages: what a caller sends after it has called a function with a loop, and does not wait.
'use strict';

const { KafkaConsumer, give } = require('node-rdkafka');
const { COUNT, aWhile, beat, bill, billLater, consumer, forward, listening, lists, sleep, take } = require('./words');

async function handleAll(orders) { for (const order of orders) await billLater(order); }

module.exports = {
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
};
