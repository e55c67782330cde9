import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { optionsTable } from '../commands/options-table.js';
import { ROOT } from './helpers/paths.js';

/*
 * Brings the tables of options and presets in core/config/README.md up to date with the schema: `npm run docs`.
 */
const [START, END] = ['<!-- options: made by `npm run docs` -->\n', '<!-- end of options -->'];
const path = join(ROOT, 'core', 'config', 'README.md');
const readme = readFileSync(path, 'utf8');
const [before, after] = [readme.indexOf(START), readme.indexOf(END)];
if (before < 0 || after < 0)
  throw new Error(`${path} has no place for the options, between ${START.trim()} and ${END}`);
writeFileSync(path, `${readme.slice(0, before + START.length)}\n${optionsTable()}\n${readme.slice(after)}`);
