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

/** The active span; undefined where there is none. */
function activeOfAny() {
  const contexts = manager();
  const span = contexts && contexts.active().getValue(SPAN);
  return span && typeof span.spanContext === 'function' ? span : undefined;
}

/** The context of the program's active span, if there is a valid one, and it is the program's own. */
function activeSpan() {
  const span = activeOfAny();
  if (!span || span instanceof ConsumerSpan) return undefined;
  const context = span.spanContext();
  return context && isId(context.traceId, 32) && isId(context.spanId, 16) ? context : undefined;
}

function isId(text, length) {
  return typeof text === 'string' && text.length === length && /^[0-9a-f]+$/.test(text) && /[^0]/.test(text);
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

/** The active context with the consumer span of a processing in it. */
function contextWith(processing) {
  return manager().active().setValue(SPAN, new ConsumerSpan(processing, activeOfAny()));
}

/** Calls `work` with that context active; undefined leaves the one that is. Whatever it enters is left after it. */
function within(context, work) {
  const contexts = manager();
  if (context) return contexts.with(context, work);
  if (!contexts) return work();
  const before = contexts.active();
  try {
    return work();
  } finally {
    enter(before);
  }
}

function active() { return manager().active(); }

/** Makes the context active that was there without a consumer span of ours. */
function leaveOurs() {
  const span = activeOfAny();
  if (!(span instanceof ConsumerSpan)) return;
  const { outer } = span;
  enter(outer ? active().setValue(SPAN, outer) : active().deleteValue(SPAN));
}

/** Makes a context active for what follows on this path; what was before, if that can be done. Undefined does nothing. */
function enter(context) {
  const contexts = manager();
  const storage = context && contexts && contexts._asyncLocalStorage;
  if (!storage || typeof storage.enterWith !== 'function') return undefined;
  const before = contexts.active();
  storage.enterWith(context);
  return before;
}

/** What the program's spans see of ours: where it is. It is recorded elsewhere, and begins when somebody asks. */
class ConsumerSpan {
  constructor(processing, outer) {
    this._processing = processing;
    this.outer = outer;
    this._context = undefined;
  }

  spanContext() {
    const traceparent = this._processing.traceparent();
    // The message is not traced, or is not worked on any more: as if there was no span of ours.
    if (!traceparent) return this.outer ? this.outer.spanContext() : NOWHERE;
    if (!this._context) {
      const [, traceId, spanId, flags] = traceparent.split('-');
      this._context = { traceId, spanId, traceFlags: parseInt(flags, 16) };
    }
    return this._context;
  }

  isRecording() { return false; }

  end() {}

  recordException() {}
}
/** As OpenTelemetry has it for spans that are none. */
const NOWHERE = { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 };

for (const name of ['setAttribute', 'setAttributes', 'addEvent', 'addLink', 'addLinks', 'setStatus', 'updateName']) {
  ConsumerSpan.prototype[name] = function nothing() { return this; };
}

module.exports = { isThere, activeSpan, traceparentOf, traceStateOf, activeBaggage, contextWith, active, leaveOurs, within, enter };
