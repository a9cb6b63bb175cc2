// What a program may say and ask itself: see `index.d.ts`.
'use strict';

const { Processing, currentProcessing, processingOf, runIn, setProcessing, settled } = require('./processing');
const resources = require('./resources');
const { guarded } = require('./tell');

function processing(message, work) {
  const processed = guarded(() => {
    resources.follow();
    const about = message.message && message.message.offset !== undefined ? message.message : message;
    const place = about === message ? message : { ...message, offset: about.offset };
    const present = processingOf(about, place);
    if (!present.hasEnded) return present;
    // What was taken for it ended too soon.
    const again = new Processing(place, about.headers);
    setProcessing(about, again);
    return again;
  });
  return processed ? settled(processed, true, () => runIn(processed, work)) : work();
}

function currentContext() {
  return guarded(() => {
    const processed = currentProcessing();
    return processed && !processed.isOver ? processed.traceparent() : undefined;
  }) || undefined;
}

module.exports = { processing, currentContext };
