#!/usr/bin/env node
// The command as npm links it. In a fresh clone it builds the program first; in an installed package it is built.
// It says so where Node is too old, which is why what comes before `start` is written as Node 12 reads it.
const { complaint } = require('./node-version.cjs');

const problem = complaint();
if (problem === undefined) start();
else stop(problem);

function stop(text) {
  process.stderr.write(text);
  process.exitCode = 2;
}

function start() {
  const { spawnSync } = require('node:child_process');
  const { existsSync } = require('node:fs');
  const { availableParallelism } = require('node:os');
  const { join } = require('node:path');
  const { pathToFileURL } = require('node:url');

  // Node's pool, in which sharp works, has four threads unless it is told before its first use. A module of the newer kind
  // would be too late: loading it uses the pool.
  if (process.env.UV_THREADPOOL_SIZE === undefined) {
    process.env.UV_THREADPOOL_SIZE = String(Math.max(4, availableParallelism()));
  }
  const folder = join(__dirname, '..');
  const program = join(folder, 'dist', 'bin', 'ijepa.js');
  if (!existsSync(program) && existsSync(join(folder, 'build.js'))) {
    process.stderr.write('ijepa: building the program, this once\n');
    spawnSync('npm', ['run', '--silent', 'build'], { cwd: folder, stdio: ['ignore', 2, 2], shell: true });
  }
  if (existsSync(program)) {
    import(pathToFileURL(program).href);
  } else {
    stop(`ijepa: the program is not built\n  what to do: run \`npm ci && npm run build\` in ${folder}\n`);
  }
}
