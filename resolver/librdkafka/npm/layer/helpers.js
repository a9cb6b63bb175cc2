// What a program may say and ask itself: see `index.d.ts`.
'use strict';

const { OURS, Processing, SHARED, currentProcessing, isAsync, processingOf, runIn, setProcessing, settled } = require('./processing');
const resources = require('./resources');
const { guarded } = require('./tell');

function processing(message, work) {
  const processed = guarded(() => {
    resources.follow();
    const about = message.message && message.message.offset !== undefined ? message.message : message;
    const place = about === message ? message : { ...message, offset: about.offset };
    let said = processingOf(about, place);
    if (said.hasEnded) {
      // What was taken for it ended too soon.
      said = new Processing(place, about.headers);
      setProcessing(about, said);
    }
    said.account.isSaid = true;
    return said;
  });
  return processed ? settled(processed, isAsync(work) ? OURS : SHARED, () => runIn(processed, work)) : work();
}

function currentContext() {
  return guarded(() => {
    const processed = currentProcessing();
    return processed && !processed.isOver ? processed.traceparent() : undefined;
  }) || undefined;
}

module.exports = { processing, currentContext };
