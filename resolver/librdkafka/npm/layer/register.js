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
const { METHODS, patchAsync, patchClass, patchFastq, patchPLimit } = require('./queues');

/** Both are one family: the second has its `RdKafka` from the first. By name, or by the file that a program is given. */
const CLIENT = /(?:^|[\\/])(?:node-rdkafka|@confluentinc[\\/]kafka-javascript)(?:[\\/]lib)?(?:[\\/](?:index|rdkafka)(?:\.js)?)?$/;
const FASTQ = /(?:^|[\\/])fastq(?:[\\/]queue(?:\.js)?)?$/;
const ASYNC = /(?:^|[\\/]node_modules[\\/])async(?:[\\/]dist[\\/]async(?:\.js)?)?$/;
const P_LIMIT = /(?:^|[\\/])p-limit(?:[\\/]index(?:\.js)?)?$/;
const P_QUEUE = /(?:^|[\\/])p-queue(?:[\\/]dist(?:[\\/]index(?:\.js)?)?)?$/;
const BOTTLENECK = /(?:^|[\\/])bottleneck(?:[\\/](?:light|es5|lib[\\/](?:index|Bottleneck))(?:\.js)?)?$/;
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
    return guarded(() => queuesOf(exported, request), exported);
  };
  for (const [file, loaded] of Object.entries(Module._cache)) {
    if (CLIENT.test(file) && loaded && loaded.loaded) guarded(() => patchClient(loaded.exports, file));
  }
}

/** What the program gets of a package with queues; of any other, what it is. */
function queuesOf(exported, request) {
  if (FASTQ.test(request)) return replaced(exported, patchFastq);
  if (P_LIMIT.test(request)) return replaced(exported, patchPLimit);
  if (ASYNC.test(request)) patchAsync(exported);
  else if (P_QUEUE.test(request)) patchClass(exported && exported.default, METHODS.ofPQueue);
  else if (BOTTLENECK.test(request)) patchClass(exported, METHODS.ofBottleneck);
  return exported;
}

const replacements = new WeakMap();

/** The same for each who loads it. */
function replaced(exported, patch) {
  if (typeof exported !== 'function') return exported;
  if (!replacements.has(exported)) replacements.set(exported, patch(exported));
  return replacements.get(exported);
}

// A program may have a second copy of the package, which then uses the first one's.
if (!Module[INSTALLED]) guarded(install);

module.exports = Module[INSTALLED] || helpers;
