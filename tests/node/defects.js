// Loaded after the layer: whatever function of it DEFECT names fails, `file.function` or `file.Class.method`.
'use strict';

const path = require('path');

const [file, ...names] = process.env.DEFECT.split('.');
const name = names.pop();
const exported = require(path.join(process.env.LAYER, `${file}.js`));
const owner = names.length > 0 ? exported[names[0]].prototype : exported;
const { value, get } = Object.getOwnPropertyDescriptor(owner, name) || {};
if (typeof (value || get) !== 'function') throw new TypeError(`${process.env.DEFECT} is no function`);
const fails = () => { throw new Error(`defect of ${name}`); };
Object.defineProperty(owner, name, get ? { get: fails } : { value: fails });
