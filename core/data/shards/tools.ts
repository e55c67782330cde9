/** What plugins know of shards. */
export { findShards as find } from './find.js';
export { checkShards as check, openShards as open } from './open.js';
