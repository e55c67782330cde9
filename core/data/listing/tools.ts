/** What plugins know of folders and lists of images. */
export { readRegularFile } from '../../base/files.js';
export { LeftOut } from './left-out.js';
export { lookInto } from './look.js';
export { readLines } from './name-list.js';
