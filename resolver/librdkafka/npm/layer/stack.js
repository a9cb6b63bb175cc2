// The stack of the code that runs, as V8 has it.
'use strict';

const path = require('path');

const LAYER = __dirname + path.sep;

/** The frames of the code that runs, innermost first; undefined if they cannot be had. */
function stack(limit) {
  const { stackTraceLimit } = Error;
  const prepare = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  const holder = {};
  try {
    Error.stackTraceLimit = limit;
    Error.prepareStackTrace = (_, frames) => frames;
    Error.captureStackTrace(holder, stack);
    return Array.isArray(holder.stack) ? holder.stack : undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepare) Object.defineProperty(Error, 'prepareStackTrace', prepare);
    else delete Error.prepareStackTrace;
  }
}

/** Whether a frame is one of the layer's. */
function isOurs(frame) { return String(frame.getFileName()).startsWith(LAYER); }

module.exports = { isOurs, stack };
