// Programs in which something else goes on beside the messages: what is sent for a message follows from it, or in some shapes
// from nothing, and what is sent for none from nothing. In shapes that are learnt the first few follow from nothing. Says `right`,
// or what is not.
//
//     node --require …/layer/register.js causes.js [SHAPE]
//
// with `fake` in NODE_PATH. Without SHAPE it names them: with packages that programs use in PACKAGES, those that need some.
'use strict';

const { give, sent } = require('node-rdkafka');
const PACKAGED = require('./causes/packages');
const { COUNT } = require('./causes/words');

const [, , SHAPE] = process.argv;
/** Where it is not clear whom a place sends for, so much of what is sent has no cause until it is known, or this share of it. */
const MOST_LEARNT = 12;
const LEARNT_SHARE = 0.3;
/** The same where a queue tells the end of each task. */
const MOST_LEARNT_SOON = 8;
const SHAPES = {
  ...require('./causes/loops'), ...require('./causes/lasting'), ...require('./causes/waits'), ...require('./causes/queues'),
  ...require('./causes/batches'), ...require('./causes/windows'), ...require('./causes/elsewhere'), ...require('./causes/growing'), ...require('./causes/more'),
};

async function main() {
  give(COUNT);
  await { ...SHAPES, ...PACKAGED }[SHAPE]();
  const bills = sent.filter(({ topic }) => topic === 'bills');
  const wrong = sent.filter(({ about, cause }) => cause !== undefined && cause !== about);
  const cut = bills.filter(({ cause }) => cause === undefined);
  const learnt = SHAPE.endsWith('learnt') ? Math.max(MOST_LEARNT, bills.length * LEARNT_SHARE) : 0;
  const mostCut = SHAPE.endsWith('learnt soon') ? MOST_LEARNT_SOON : learnt;
  const isCut = SHAPE.endsWith('cut') ? cut.length > 0 : cut.length <= mostCut;
  const isRight = wrong.length === 0 && bills.length > 0 && isCut;
  console.log(isRight ? 'right' : `${bills.length} bills, of which ${cut.length} have no cause; ${wrong.length} wrong causes of ${sent.length}`);
}

if (SHAPE === undefined) console.log(Object.keys(process.env.PACKAGES ? PACKAGED : SHAPES).join('\n'));
else main().catch((error) => { console.error(error); process.exit(1); });
