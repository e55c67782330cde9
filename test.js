// Runs tests: `npm test` lints, builds and runs all of them; `npm test -- test/nn` builds and runs those of a folder, and
// `npm test -- test/nn/backbone.test.ts` those of a file. Options go to AVA: `npm test -- test/nn --match '*gradient*'`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
const lint = given.length === 0 ? [run('biome', ['check', '--error-on-warnings'])] : [];
endIfFailed(await Promise.all([...lint, run('node', ['build.js'])]));
const compiled = given.map((word) => (word.startsWith('test/') ? `dist/${word.replace(/\.ts$/, '.js')}` : word));
endIfFailed([await run('ava', compiled)]);

/** Runs a program that npm has put in the path. @returns its exit code */
async function run(program, args) {
  const [status] = await once(spawn(program, args, { stdio: 'inherit' }), 'exit');
  return status ?? 1;
}

/** Ends with the first exit code that is not 0. */
function endIfFailed(codes) {
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) process.exit(failed);
}
