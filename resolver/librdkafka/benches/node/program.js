// One of the programs of clients.js. Says the microseconds of CPU that a message took, from the first one to the last: on the
// thread of JavaScript, and of the whole process; and the messages a second.
//
//     node program.js PROGRAM COUNT
'use strict';

const fs = require('fs');
const programs = require('./clients');

const [, , PROGRAM, COUNT] = process.argv;

function used() {
  const [thread] = fs.readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ');
  const { user, system } = process.cpuUsage();
  return { thread: Number(thread) / 1000, process: user + system, wall: performance.now() };
}

let before;
let after;
programs[PROGRAM](Number(COUNT), () => { before = used(); }, () => { after = used(); }).then(() => {
  const thread = (after.thread - before.thread) / COUNT;
  const whole = (after.process - before.process) / COUNT;
  console.log(JSON.stringify({ thread, process: whole, rate: COUNT / (after.wall - before.wall) * 1000 }));
  // What exports spans may want to say more.
  process.emit('over');
}, (error) => {
  console.error(error);
  process.exit(1);
});
