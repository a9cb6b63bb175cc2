// Functions and iterators of ours in the place of others, which look like those to whoever looks at them.
'use strict';

const { guarded } = require('./tell');

/** What functions have that are not strict, and others cannot be given. */
const SLOPPY = ['arguments', 'caller'];

/** `ours`, with the name, the length, the prototype and all other properties of `original`. For what is called often. */
function inPlaceOf(original, ours) {
  return guarded(() => {
    const properties = Object.getOwnPropertyDescriptors(original);
    for (const name of SLOPPY) delete properties[name];
    Object.setPrototypeOf(ours, Object.getPrototypeOf(original));
    return Object.defineProperties(ours, properties);
  }, ours);
}

/** `original` itself, but for its calls: those go to `call`, with their `this` and their arguments. As a class it is what it was. */
function calledBy(original, call) {
  return new Proxy(original, { apply: (_, self, what) => call(self, what) });
}

/** An iterator of the same kind as `iterator` and with the same properties, but with these methods. */
function iteratorLike(iterator, methods) {
  const own = Object.getOwnPropertyDescriptors(iterator);
  for (const name of Reflect.ownKeys(methods)) own[name] = { value: methods[name], configurable: true, writable: true };
  return Object.create(Object.getPrototypeOf(iterator), own);
}

module.exports = { calledBy, inPlaceOf, iteratorLike };
