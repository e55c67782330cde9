/** What plugins know of shards. */
export { checkShards as check } from './check.js';
export { findShards as find } from './find.js';
export { openShards as open } from './open.js';
