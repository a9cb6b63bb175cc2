// Programs in which something else goes on beside the messages: what is sent for a message follows from it, or in some shapes
// from nothing, and what is sent for none from nothing. Says `right`, or what is not.
//
//     node --require …/layer/register.js causes.js [SHAPE]
//
// with `fake` in NODE_PATH. Without SHAPE it names them: with packages that programs use in PACKAGES, those that need some.
'use strict';

const { give, sent } = require('node-rdkafka');
const PACKAGED = require('./causes/packages');
const { COUNT } = require('./causes/words');

const [, , SHAPE] = process.argv;
const SHAPES = {
  ...require('./causes/loops'), ...require('./causes/lasting'), ...require('./causes/waits'), ...require('./causes/queues'),
};

async function main() {
  give(COUNT);
  await { ...SHAPES, ...PACKAGED }[SHAPE]();
  const bills = sent.filter(({ topic }) => topic === 'bills');
  const wrong = sent.filter(({ about, cause }) => cause !== undefined && cause !== about);
  const cut = bills.filter(({ cause }) => cause === undefined);
  const isRight = wrong.length === 0 && bills.length > 0 && (cut.length === 0) !== SHAPE.endsWith('cut');
  console.log(isRight ? 'right' : `${bills.length} bills, of which ${cut.length} have no cause; ${wrong.length} wrong causes of ${sent.length}`);
}

if (SHAPE === undefined) console.log(Object.keys(process.env.PACKAGES ? PACKAGED : SHAPES).join('\n'));
else main().catch((error) => { console.error(error); process.exit(1); });
