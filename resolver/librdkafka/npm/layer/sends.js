// What a message that is sent follows from, said right before the client's own function is called, on the same thread.
'use strict';

const library = require('./library');
const otel = require('./opentelemetry');
const { currentProcessing, header } = require('./processing');
const { guarded } = require('./tell');

const FORMATS = ['traceparent', 'b3', 'X-B3-TraceId', 'x-b3-traceid', 'uber-trace-id'];

/** Whether something was said of the next send that no send may have taken up. */
let isSaid = false;

/** Says what a record with these headers follows from: from `processing` if `isOfIt`. */
function sayParent(headers, processing, isOfIt) {
  const functions = library.find();
  if (!functions) return;
  const span = otel.activeSpan();
  if (span && !(processing && processing.isWithin(span)) && !carriesAnother(headers, processing)) {
    isSaid = true;
    functions.nextSendOf(otel.traceparentOf(span), otel.traceStateOf(span), otel.activeBaggage());
    return;
  }
  const began = isOfIt ? processing.begin() : undefined;
  if (began) {
    isSaid = true;
    functions.nextSend(began);
  } else {
    sayNothing(functions);
  }
}

/** Whether the record's own headers carry a context, and not only that of the message which is processed. */
function carriesAnother(headers, processing) {
  const format = FORMATS.find((name) => header(headers, name) !== undefined);
  if (format === undefined) return false;
  return !(processing && format === 'traceparent' && processing.isPassedOnBy(header(headers, format)));
}

function sayNothing(functions) {
  if (!isSaid) return;
  isSaid = false;
  functions.nextSend();
}

/** Sends a record, which follows from what the code is at work on, as far as that is known. */
function sending([topic, , value, key, , , headers], produce) {
  guarded(() => {
    const processing = currentProcessing();
    sayParent(headers, processing, processing !== undefined && processing.sends(topic, value, key));
  });
  return produce();
}

/** Sends a record that follows from `processing` in any case. */
function sendingFor(processing, [, , , , , , headers], produce) {
  guarded(() => sayParent(headers, processing, true));
  return produce();
}

module.exports = { sending, sendingFor };
