#!/usr/bin/env node
// The command as npm links it. In a fresh clone it builds the program first; in an installed package it is built.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('..', import.meta.url));
const program = new URL('../dist/bin/ijepa.js', import.meta.url);
if (!existsSync(program)) {
  process.stderr.write('ijepa: building the program, this once\n');
  spawnSync('npm', ['run', '--silent', 'build'], { cwd: folder, stdio: ['ignore', 2, 2], shell: true });
}
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write(`ijepa: the program is not built\n  what to do: run \`npm ci && npm run build\` in ${folder}\n`);
  process.exitCode = 2;
}
