// What a message that is sent follows from, said right before the client's own function is called, on the same thread; and what
// librdkafka has refused, which the library is told right after it.
'use strict';

const { hidden } = require('./hidden');
const library = require('./library');
const otel = require('./opentelemetry');
const { currentProcessing, header } = require('./processing');
const { guarded } = require('./tell');

const FORMATS = ['traceparent', 'b3', 'X-B3-TraceId', 'x-b3-traceid', 'uber-trace-id'];

/** The numbers that the library knows producers by; 0: it is not traced. */
const senders = hidden();

/**
 * Says what a record with these headers follows from: from `processing` if `isOfIt`; if not, what was said of a send that was refused
 * is unsaid. Gives how many messages this thread has sent.
 */
function sayParent(headers, processing, isOfIt) {
  const functions = library.find();
  if (!functions) return undefined;
  const span = otel.activeSpan();
  if (span && !(processing && processing.isWithin(span)) && !carriesAnother(headers, processing)) {
    return functions.nextSendOf(otel.traceparentOf(span), otel.traceStateOf(span), otel.activeBaggage());
  }
  return functions.nextSend(isOfIt ? processing.begin() : undefined);
}

/** Whether the record's own headers carry a context, and not only that of the message which is processed. */
function carriesAnother(headers, processing) {
  const format = FORMATS.find((name) => header(headers, name) !== undefined);
  if (format === undefined) return false;
  return !(processing && format === 'traceparent' && processing.isPassedOnBy(header(headers, format)));
}

/** Says that the next record follows from what the code is at work on, as far as that is known. */
function sends([topic, , value, key, , , headers]) {
  const processing = currentProcessing();
  return sayParent(headers, processing, processing !== undefined && processing.sends(topic, value, key));
}

/** The same of a record that follows from `processing` in any case. */
function sendsFor(processing, record) { return sayParent(record[6], processing, true); }

/** Calls the client's function, when this thread has sent so many as were `seen`. */
function produced(producer, record, seen, produce) {
  let result;
  try {
    result = produce.apply(producer, record);
  } catch (error) {
    guarded(() => refused(producer, record, seen, error));
    throw error;
  }
  if (seen !== undefined && senders.get(producer) === undefined) guarded(() => senders.set(producer, library.find().sender(seen)));
  return result;
}

/** The client has not taken a record. Where that is librdkafka's error the library is told, unless more were sent than `seen`. */
function refused(producer, [topic, partition, value, key], seen, error) {
  const sender = senders.get(producer);
  if (!sender || typeof error !== 'object' || error === null || !Number.isInteger(error.code)) return;
  const wanted = partition === undefined || partition === null ? producer.defaultPartition : partition;
  const isTombstone = value === null && key !== undefined && key !== null ? 1 : undefined;
  library.find().refused(sender, seen, error.code, topic, Number.isInteger(wanted) && wanted >= 0 ? wanted : -1, isTombstone);
}

/** The producer gets another client, which is known when it has sent. */
function connects(producer) { senders.set(producer, undefined); }

module.exports = { connects, produced, sends, sendsFor };
