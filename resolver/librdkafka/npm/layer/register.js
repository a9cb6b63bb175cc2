// Loaded before the program (`node --require`): tells the library which message each piece of the program's code is at work
// on, and what each message that it sends follows from.
//
// Touches the clients named below when the program loads them, and nothing else. In a process without the library it does
// nothing, and whatever goes wrong in here the program does not see.
'use strict';

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { guarded, tell } = require('./tell');
const { patchClient } = require('./client');
const helpers = require('./helpers');
const { METHODS, patchAsync, patchClass, patchFastq, patchPLimit } = require('./queues');
const { inPlaceOf } = require('./stand_in');

/** Both clients are one family: the second has its `RdKafka` from the first. */
const CLIENT = { files: /^(?:lib\/)?(?:index|rdkafka)\.js$/, isClient: true };
/** By the name that a package gives itself: those of its files that a program is given, and what the program gets of them. */
const PACKAGES = new Map(Object.entries({
  'node-rdkafka': CLIENT,
  '@confluentinc/kafka-javascript': CLIENT,
  fastq: { files: /^queue\.js$/, queues: (exported) => replaced(exported, patchFastq) },
  async: { files: /^dist\/async\.js$/, queues: patchAsync },
  'p-limit': { files: /^index\.js$/, queues: (exported) => replaced(exported, patchPLimit) },
  'p-queue': { files: /^dist\/index\.js$/, queues: (exported) => patchClass(exported && exported.default, METHODS.ofPQueue) },
  bottleneck: { files: /^(?:light|es5|lib\/(?:index|Bottleneck))\.js$/, queues: (exported) => patchClass(exported, METHODS.ofBottleneck) },
}));
/** What may be one of them. The program may have a module of its own by such a name. */
const NAMES = /(?:^|[\\/])(?:node-rdkafka|@confluentinc[\\/]kafka-javascript|fastq|async|p-limit|p-queue|bottleneck)(?:[\\/.]|$)/;
/** The native part of a client. */
const NATIVE = /(?:^|[\\/])(?:node-librdkafka|confluent-kafka-javascript)\.node$/;
const BUNDLED = 'the Kafka client is bundled into the program, where it is not recognised: causes are not known; '
  + 'let the bundler keep the package outside ("external")';
const INSTALLED = Symbol.for('tracer-interceptors.installed');

function install() {
  Object.defineProperty(Module, INSTALLED, { value: helpers });
  const load = Module._load;
  let clients = 0;
  Module._load = inPlaceOf(load, function _load(request, parent) {
    if (typeof request !== 'string') return load.apply(this, arguments);
    const known = NAMES.test(request) ? fileOf(request, parent) : undefined;
    if (known !== undefined && known.isClient) clients += 1;
    else if (clients === 0 && NATIVE.test(request)) tell(BUNDLED);
    const exported = load.apply(this, arguments);
    if (known === undefined) return exported;
    return guarded(() => followed(exported, known), exported);
  });
  for (const [file, loaded] of Object.entries(Module._cache)) {
    const known = NAMES.test(file) && loaded && loaded.loaded ? knownAs(file) : undefined;
    if (known !== undefined && known.isClient) guarded(() => patchClient(loaded.exports, known.name));
  }
}

/** What the program gets of it. */
function followed(exported, { isClient, queues, name }) {
  if (isClient) patchClient(exported, name);
  return isClient ? exported : queues(exported) || exported;
}

/** What is known of the file that is asked for. ES modules load one by its own name. */
function fileOf(request, parent) {
  try {
    return knownAs(Module._resolveFilename(request, parent, false), request);
  } catch {
    // The program is told so when it is loaded.
    return undefined;
  }
}

const files = new Map();

function knownAs(file, request = file) {
  if (!files.has(file)) {
    const { name, folder } = packageOf(file, request);
    const known = PACKAGES.get(name);
    const inside = path.relative(folder, file).split(path.sep).join('/');
    files.set(file, known !== undefined && known.files.test(inside) ? { ...known, name } : undefined);
  }
  return files.get(file);
}

/** The name of the package that a file is of. Where none is written, what it is asked for by is its name. */
function packageOf(file, request) {
  let folder = path.dirname(file);
  for (; folder !== path.dirname(folder) && path.basename(folder) !== 'node_modules'; folder = path.dirname(folder)) {
    const name = nameIn(path.join(folder, 'package.json'));
    if (name !== undefined) return { name, folder };
  }
  return { name: request, folder: path.dirname(file) };
}

function nameIn(file) {
  try {
    const { name } = JSON.parse(fs.readFileSync(file, 'utf8'));
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

const replacements = new WeakMap();

/** The same for each who loads it. A class is none of these packages. */
function replaced(exported, patch) {
  if (typeof exported !== 'function' || /^class\b/.test(Function.prototype.toString.call(exported))) return exported;
  if (!replacements.has(exported)) replacements.set(exported, patch(exported));
  return replacements.get(exported);
}

// A program may have a second copy of the package, which then uses the first one's.
if (!Module[INSTALLED]) guarded(install);

module.exports = Module[INSTALLED] || helpers;
