#!/usr/bin/env node
// The command as npm links it: it is there before the program is built, and then says so.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = new URL('../dist/bin/ijepa.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  const folder = fileURLToPath(new URL('..', import.meta.url));
  process.stderr.write(`ijepa: the program is not built yet\n  what to do: run \`npm run build\` in ${folder}\n`);
  process.exitCode = 2;
}
