// OpenTelemetry's API, where the program has it and an SDK has registered with it. It is not loaded here: what it keeps for
// the whole process is enough.
'use strict';

const API = Symbol.for('opentelemetry.js.api.1');
const SPAN = Symbol.for('OpenTelemetry Context Key SPAN');
const BAGGAGE = Symbol.for('OpenTelemetry Baggage Key');

function manager() {
  const api = globalThis[API];
  return api && api.context;
}

/** Whether the program has it. */
function isThere() { return manager() !== undefined; }

/** The context of the program's active span, if there is a valid one. */
function activeSpan() {
  const contexts = manager();
  if (!contexts) return undefined;
  const span = contexts.active().getValue(SPAN);
  const context = span && typeof span.spanContext === 'function' ? span.spanContext() : undefined;
  return context && /^(?!0{32})[0-9a-f]{32}$/.test(context.traceId) && /^(?!0{16})[0-9a-f]{16}$/.test(context.spanId)
    ? context : undefined;
}

/** A span context as `traceparent`. */
function traceparentOf(context) {
  return `00-${context.traceId}-${context.spanId}-${(context.traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

function traceStateOf(context) {
  return context.traceState && typeof context.traceState.serialize === 'function'
    ? context.traceState.serialize() : undefined;
}

/** The active baggage, as W3C writes it. */
function activeBaggage() {
  const baggage = manager().active().getValue(BAGGAGE);
  if (!baggage || typeof baggage.getAllEntries !== 'function') return undefined;
  const written = baggage.getAllEntries().map(([key, { value, metadata }]) => {
    const more = metadata === undefined ? '' : `;${metadata}`;
    return `${encodeURIComponent(key)}=${encodeURIComponent(value)}${more}`;
  });
  return written.length === 0 ? undefined : written.join(',');
}

/** The active context with a consumer span of ours in it. */
function contextWith(traceparent) {
  return traceparent && manager().active().setValue(SPAN, new ConsumerSpan(traceparent));
}

/** Calls `work` with that context active. */
function within(context, work) {
  return context ? manager().with(context, work) : work();
}

/** Makes a context active for what follows on this path; what was before, if that can be done. */
function enter(context) {
  const contexts = manager();
  const storage = context && contexts && contexts._asyncLocalStorage;
  if (!storage || typeof storage.enterWith !== 'function') return undefined;
  const before = contexts.active();
  storage.enterWith(context);
  return before;
}

/** What the program's spans see of ours: where it is. It is recorded elsewhere. */
class ConsumerSpan {
  constructor(traceparent) {
    const [, traceId, spanId, flags] = traceparent.split('-');
    this._context = { traceId, spanId, traceFlags: parseInt(flags, 16) };
  }

  spanContext() { return this._context; }

  isRecording() { return false; }

  end() {}

  recordException() {}
}
for (const name of ['setAttribute', 'setAttributes', 'addEvent', 'addLink', 'addLinks', 'setStatus', 'updateName']) {
  ConsumerSpan.prototype[name] = function nothing() { return this; };
}

module.exports = { isThere, activeSpan, traceparentOf, traceStateOf, activeBaggage, contextWith, within, enter };
