// What the code of a message begins: what lives longer than the message that it was made for, and what comes once.
'use strict';

const dgram = require('dgram');
const fs = require('fs');
const net = require('net');
const http = require('http');
const os = require('os');
const path = require('path');
const { Worker } = require('worker_threads');
const { sent } = require('node-rdkafka');
const { COUNT, beat, bill, billLater, listening, sleep } = require('./words');

module.exports = {
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
  async 'ticks and microtasks'() {
    await listening((order) => {
      process.nextTick(() => setImmediate(() => queueMicrotask(() => setTimeout(() => bill(order), 2))));
    });
  },
};
