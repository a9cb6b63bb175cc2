// The stack of the code that runs, as V8 has it.
'use strict';

const path = require('path');

const LAYER = __dirname + path.sep;

/** The frames of the code that runs, innermost first, from the one that called `below`; undefined if they cannot be had. */
function stack(limit, below = stack) {
  const { stackTraceLimit, prepareStackTrace } = Error;
  const holder = {};
  try {
    Error.stackTraceLimit = limit;
    Error.prepareStackTrace = framesOf;
    Error.captureStackTrace(holder, below);
    return Array.isArray(holder.stack) ? holder.stack : undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    Error.prepareStackTrace = prepareStackTrace;
  }
}

function framesOf(_, frames) { return frames; }

/** Whether a frame is one of the layer's. */
function isOurs(frame) { return String(frame.getFileName()).startsWith(LAYER); }

module.exports = { isOurs, stack };
