'use strict';

const path = require('node:path');

const PROPERTY = 'plugin.library.paths';

const libraryPath = path.join(__dirname, 'lib', 'libtracer_interceptors.so');

function clientProperties(config = {}) {
  const { [PROPERTY]: present, ...others } = config;
  if (libraryPath.includes(';')) {
    throw new Error(
      `${PROPERTY} cannot name ${libraryPath}, because of the semicolon in it: install the package elsewhere`,
    );
  }
  const plugins = String(present ?? '').split(';').filter((plugin) => plugin !== '');
  if (!plugins.includes(libraryPath)) {
    plugins.push(libraryPath);
  }
  return { [PROPERTY]: plugins.join(';'), ...others };
}

function processing(message, work) {
  return require('./layer/register').processing(message, work);
}

function currentContext() {
  return require('./layer/register').currentContext();
}

module.exports = { libraryPath, clientProperties, processing, currentContext };
