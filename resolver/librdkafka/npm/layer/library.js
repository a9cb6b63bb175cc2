// The library's functions, once it is in this process: it is preloaded, or comes with the first client that has it in
// `plugin.library.paths`. This loads no second copy, and none where there is none.
'use strict';

const fs = require('fs');
const { guarded, tell } = require('./tell');

const NAME = 'libtracer_interceptors.so';
/** What the library as an add-on gives; undefined while it is not there. */
let functions;
let looked = 0;

function find() {
  // A client may come that brings it, but not for ever.
  if (functions || looked >= 1000) return functions;
  looked += 1;
  functions = guarded(() => {
    const file = loadedFile();
    if (!file) return undefined;
    const addon = { exports: {} };
    try {
      process.dlopen(addon, file);
    } catch (error) {
      // Another version than this package's.
      looked = Infinity;
      tell(`${file} does not work with this package, and causes are not known to it: ${error.message}`);
      return undefined;
    }
    if (typeof addon.exports.refused !== 'function') {
      looked = Infinity;
      tell(`${file} does not work with this version of Node, and causes are not known to it`);
      return undefined;
    }
    addon.exports.declare();
    return addon.exports;
  });
  return functions;
}

/** Where the one is that is loaded. */
function loadedFile() {
  if (process.platform !== 'linux') return undefined;
  for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    if (line.endsWith(`/${NAME}`)) return Buffer.from(line.slice(line.indexOf('/')), 'latin1').toString();
  }
  return undefined;
}

module.exports = { find };
