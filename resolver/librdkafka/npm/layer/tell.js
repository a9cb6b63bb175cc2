// What goes wrong in the layer is said once, and never reaches the program.
'use strict';

const fs = require('fs');

const told = new Set();

/** Says it on standard error, once; unless `OTEL_LOG_LEVEL` wants no warnings. */
function tell(what) {
  if (told.has(what)) return;
  told.add(what);
  if (/^(?:none|error)$/i.test(process.env.OTEL_LOG_LEVEL || '')) return;
  try {
    fs.writeSync(2, `tracer-interceptors: WARN: ${what}\n`);
  } catch {
    // Nobody reads it.
  }
}

/** What `work` returns when it is given the others, or `otherwise` if it throws. */
function guarded(work, otherwise, one, two) {
  try {
    return work(one, two);
  } catch (error) {
    tell(`the layer for Node failed, and the program goes on: ${(error && error.stack) || error}`);
    return otherwise;
  }
}

module.exports = { tell, guarded };
