// Loaded before the program (`node --require`): tells the library which message each piece of the program's code is at work
// on, and what each message that it sends follows from.
//
// Touches the clients named below when the program loads them, and nothing else. In a process without the library it does
// nothing, and whatever goes wrong in here the program does not see.
'use strict';

const Module = require('module');
const { guarded, tell } = require('./tell');
const { patchClient } = require('./client');
const helpers = require('./helpers');
const { patchAsync, patchFastq } = require('./queues');

/** Both are one family: the second has its `RdKafka` from the first. By name, or by the file that a program is given. */
const CLIENT = /(?:^|[\\/])(?:node-rdkafka|@confluentinc[\\/]kafka-javascript)(?:[\\/]lib)?(?:[\\/](?:index|rdkafka)(?:\.js)?)?$/;
const FASTQ = /(?:^|[\\/])fastq(?:[\\/]queue(?:\.js)?)?$/;
const ASYNC = /(?:^|[\\/]node_modules[\\/])async(?:[\\/]dist[\\/]async(?:\.js)?)?$/;
/** The native part of a client. */
const NATIVE = /(?:^|[\\/])(?:node-librdkafka|confluent-kafka-javascript)\.node$/;
const BUNDLED = 'the Kafka client is bundled into the program, where it is not recognised: causes are not known; '
  + 'let the bundler keep the package outside ("external")';
const INSTALLED = Symbol.for('tracer-interceptors.installed');

function install() {
  Object.defineProperty(Module, INSTALLED, { value: helpers });
  const load = Module._load;
  let clients = 0;
  Module._load = function _load(request, ...others) {
    // ES modules load one by its file's name.
    if (typeof request !== 'string') return load.call(this, request, ...others);
    const isClient = CLIENT.test(request);
    if (isClient) clients += 1;
    else if (clients === 0 && NATIVE.test(request)) tell(BUNDLED);
    const exported = load.call(this, request, ...others);
    if (isClient) guarded(() => patchClient(exported, request));
    if (FASTQ.test(request)) return guarded(() => fastqOf(exported), exported);
    if (ASYNC.test(request)) guarded(() => patchAsync(exported));
    return exported;
  };
  for (const [file, loaded] of Object.entries(Module._cache)) {
    if (CLIENT.test(file) && loaded && loaded.loaded) guarded(() => patchClient(loaded.exports, file));
  }
}

const fastqs = new WeakMap();

/** The same for each who loads it. */
function fastqOf(exported) {
  if (typeof exported !== 'function') return exported;
  if (!fastqs.has(exported)) fastqs.set(exported, patchFastq(exported));
  return fastqs.get(exported);
}

// A program may have a second copy of the package, which then uses the first one's.
if (!Module[INSTALLED]) guarded(install);

module.exports = Module[INSTALLED] || helpers;
