export type * from './data-sets.js';
export type * from './extension.js';
export type * from './monitors.js';
export type * from './objectives.js';
export type * from './published.js';
