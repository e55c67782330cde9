#!/usr/bin/env node
// The command as npm links it. In a fresh clone it builds the program first; in an installed package it is built.
// It says so where Node is too old, which is why what comes before `start` is written as Node 12 reads it.
const { engines } = require('../package.json');

if (isNewEnough(process.versions.node, engines.node)) {
  start();
} else {
  const lowest = engines.node.replace(/[\^=>]/g, '').replace(' || ', ', ');
  stop(`Node ${process.versions.node} is too old`, `install Node ${lowest} or later`);
}

/** Whether a version is in ranges such as '^20.19.0 || >=22.12.0'. */
function isNewEnough(version, ranges) {
  const [major, minor] = version.split('.').map(Number);
  return ranges.split('||').some((range) => {
    const [lowestMajor, lowestMinor] = range.match(/\d+/g).map(Number);
    if (major === lowestMajor) return minor >= lowestMinor;
    return major > lowestMajor && !range.includes('^');
  });
}

function stop(problem, remedy) {
  process.stderr.write(`ijepa: ${problem}\n  what to do: ${remedy}\n`);
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
    stop('the program is not built', `run \`npm ci && npm run build\` in ${folder}`);
  }
}
