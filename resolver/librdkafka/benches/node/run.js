// What tracing costs a Node program: untraced, by libtracer_interceptors.so, with the layer too, and by OpenTelemetry's
// instrumentation.
//
//     node run.js [--messages=N] [--rounds=N] [--only=PART OF A PROGRAM'S NAME] [--quick] …
//
// They take turns. Each run has a cluster and a collector of its own, in another process. Fails when a span of ours does not
// arrive. README.md says what is measured.
'use strict';

const { spawnSync } = require('child_process');
const path = require('path');
const programs = require('./clients');

const BUILT = process.env.CARGO_TARGET_DIR || path.join(__dirname, '../../../../target');
const FOREIGN = path.join(BUILT, 'foreign');
const options = {
  messages: 100000,
  rounds: 5,
  only: '',
  playground: path.join(BUILT, 'release/examples/playground'),
  library: path.join(BUILT, 'release/libtracer_interceptors.so'),
  // As the tests build them: `cargo test --test node_layer`.
  modules: [path.join(FOREIGN, 'node/node_modules'), path.join(FOREIGN, 'kafka-javascript/node_modules')].join(path.delimiter),
  // With what opentelemetry.js loads; without it that way is left out.
  opentelemetry: '',
  queue: '512MiB',
};
for (const option of process.argv.slice(2)) {
  const [, name, value] = /^--(\w+)(?:=(.*))?$/.exec(option) || [];
  if (name === 'quick') Object.assign(options, { messages: 1000, rounds: 1 });
  else if (name in options) options[name] = typeof options[name] === 'number' ? Number(value) : value;
  else throw new Error(`${option}: there are --${Object.keys(options).join('=…, --')}=… and --quick`);
}

const TRACED = { INTERCEPTORS_CONFIG_FILE: path.join(__dirname, 'tracing.toml'), QUEUE: options.queue, LD_PRELOAD: options.library };
const LAYER = ['--require', path.join(__dirname, '../../npm/layer/register.js')];
const OPENTELEMETRY = ['--require', path.join(__dirname, 'opentelemetry.js')];
/** Each with the spans that a message which is sent on has: it was sent untraced, so there is one that consumes and one that sends. */
const WAYS = {
  untraced: { spans: 0 },
  preloaded: { variables: TRACED, spans: 2 },
  'preloaded, with the layer': { variables: TRACED, arguments: LAYER, spans: 2 },
  ...(options.opentelemetry && { OpenTelemetry: { arguments: OPENTELEMETRY } }),
};

function measured(program, way) {
  const { variables = {}, arguments: before = [] } = WAYS[way];
  const modules = [options.modules, options.opentelemetry].join(path.delimiter);
  const count = countOf(program);
  const traced = ['env', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`), process.execPath, ...before];
  const quoted = (words) => words.map((word) => `'${word}'`).join(' ');
  const fill = quoted([process.execPath, path.join(__dirname, 'fill.js'), String(count)]);
  const run = quoted([...traced, path.join(__dirname, 'program.js'), program, String(count)]);
  const topics = ['orders:16', 'bills:16'].flatMap((topic) => ['--topic', topic]);
  const ran = spawnSync(options.playground, ['--quiet', ...topics, 'sh', '-c', `${fill} && ${run}`], {
    encoding: 'utf8', env: { ...process.env, NODE_PATH: modules, LD_PRELOAD: undefined }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const line = ran.stdout.split('\n').find((one) => one.startsWith('{'));
  if (ran.status !== 0 || line === undefined) throw new Error(`${program}, ${way}: ${ran.stdout}\n${ran.stderr}`);
  const spans = Number([...ran.stdout.matchAll(/^(\d+) spans in /gm)].pop()?.[1] || 0);
  const expected = WAYS[way].spans === undefined ? undefined : WAYS[way].spans * count;
  // More where a message has lain in the client for so long that its delivery has left as `receive`.
  if (expected !== undefined && (spans < expected || spans > 1.5 * expected)) throw new Error(`${program}, ${way}: ${spans} spans of ${expected} arrived`);
  return { ...JSON.parse(line), spans };
}

/** The KafkaJS-like API takes many times as long. */
function countOf(program) { return program.startsWith('kafka-javascript') ? options.messages / 5 : options.messages; }

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function spread(values, digits) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)} – ${most.toFixed(digits)})`;
}

console.log('| program | way | µs a message on the thread of JavaScript | more than preloaded | µs of the process | messages/s | spans |');
console.log('|---|---|---|---|---|---|---|');
for (const program of Object.keys(programs).filter((name) => name.includes(options.only))) {
  // Its instrumentation for eachBatch has not come to an end here.
  const ways = Object.keys(WAYS).filter((way) => way !== 'OpenTelemetry' || program.endsWith('eachMessage'));
  const runs = Object.fromEntries(ways.map((way) => [way, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    // No way is always the first.
    for (let at = 0; at < ways.length; at += 1) {
      const way = ways[(at + round) % ways.length];
      runs[way].push(measured(program, way));
      console.error(`${program}, ${way}: ${JSON.stringify(runs[way].at(-1))}`);
    }
  }
  for (const way of ways) {
    const of = (name) => runs[way].map((run) => run[name]);
    // Each round's own pair: both had the same neighbours on the machine.
    const more = of('thread').map((thread, round) => thread - runs.preloaded[round].thread);
    const cells = [program, way, spread(of('thread'), 2), /untraced|preloaded$/.test(way) ? '' : spread(more, 2), spread(of('process'), 1),
      spread(of('rate'), 0), `${median(of('spans'))} of ${countOf(program)} messages`];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
