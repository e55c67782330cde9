// Runs tests: `npm test` lints, builds and runs all of them; `npm test -- test/nn` builds and runs those of a folder, and
// `npm test -- test/nn/backbone.test.ts` those of a file. Options go to AVA: `npm test -- test/nn --match '*gradient*'`.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const given = process.argv.slice(2);
const named = given.map((word) => word.replace(/\/$/, '')).filter((word) => word.startsWith('test/'));
for (const path of named) {
  if (existsSync(path)) continue;
  process.stderr.write(
    `there is no ${path}; tests are named by their path, as in test/nn or test/nn/backbone.test.ts\n`,
  );
  process.exit(2);
}
if (given.length === 0) run('biome', ['check', '--error-on-warnings']);
run('node', ['build.js']);
const compiled = given.map((word) => (word.startsWith('test/') ? `dist/${word.replace(/\.ts$/, '.js')}` : word));
run('ava', compiled);

/** Runs a program that npm has put in the path; ends with its exit code where that is not 0. */
function run(program, args) {
  const { status } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
