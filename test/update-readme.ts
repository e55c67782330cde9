import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commonTable, methodsTable } from '../commands/config-run.js';
import { ROOT } from './helpers/paths.js';

/*
 * Brings the tables of options and presets in READMEs up to date with their definitions: `npm run docs`.
 */
const [START, END] = ['<!-- options: made by `npm run docs` -->\n', '<!-- end of options -->'];

function update(room: string, table: string): void {
  const path = join(ROOT, 'core', room, 'README.md');
  const text = readFileSync(path, 'utf8');
  const [before, after] = [text.indexOf(START), text.indexOf(END)];
  if (before < 0 || after < 0) throw new Error(`${path} has no place between ${START.trim()} and ${END}`);
  writeFileSync(path, `${text.slice(0, before + START.length)}\n${table}\n${text.slice(after)}`);
}

update('config', commonTable());
update('methods', methodsTable());
