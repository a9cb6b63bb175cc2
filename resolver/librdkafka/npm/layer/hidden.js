// What the layer keeps with an object of the program: where the program does not see it, and for as long as the object lives.
'use strict';

/** Undefined before Node 16.4, which does not know what is written there. */
let inObjects;
try {
  ({ inObjects } = require('./in_objects'));
} catch {
  // They are kept beside the objects.
}

/** Keeps one thing with each object. */
function hidden() {
  const beside = new WeakMap();
  if (inObjects === undefined) return beside;
  const inside = inObjects();
  return {
    get(object) {
      const kept = inside.get(object);
      return kept !== undefined || Object.isExtensible(object) ? kept : beside.get(object);
    },
    set(object, what) { if (!inside.set(object, what)) beside.set(object, what); },
  };
}

module.exports = { hidden };
