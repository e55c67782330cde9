/** What plugins know of folders and lists of images. */
export { readRegularFile } from '../../base/files.js';
export { LeftOut } from './kinds.js';
export { readLines } from './name-list.js';
export { lookInto } from './scan.js';
