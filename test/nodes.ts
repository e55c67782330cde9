import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runNpm } from '../core/engine/install/npm.js';
import { SMALLEST, startProgram } from './helpers/command.js';
import { ROOT } from './helpers/paths.js';

/*
 * Runs the program, built, on other versions of Node: `npm run test:nodes`. Without arguments these are the lowest ones that
 * package.json names, the newest of the latest of them, and one that is too old. Each comes out of a package of npm's
 * registry, into a temporary folder.
 */
const LAUNCHER = join(ROOT, 'bin', 'start.cjs');
const COMMANDS = [
  '--help',
  'config',
  'engine list',
  'data info shapes:50',
  `pretrain ${SMALLEST.join(' ')} --engine auto --epochs 1 --out run`,
  'runs .',
  'mask-preview --config run/config.yaml --out masks.png',
  'features run shapes:32 --out features.safetensors',
  'probe run --data shapes:64',
];
const TOO_OLD = '12.22.12';

const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { engines: { node: string } };
const lowest = engines.node.match(/\d+\.\d+\.\d+/g) ?? [];
const asked = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'ijepa-nodes-'));
let failed = 0;
let passed = 0;
try {
  for (const version of asked.length > 0 ? asked : [...lowest, '24', TOO_OLD]) await tryVersion(version);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** Every command ends well and says nothing of Node's on standard error; a Node that is too old gets one message. */
async function tryVersion(version: string): Promise<void> {
  const own = join(folder, version);
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const installed = await runNpm(['install', '--prefix', own, '--no-save', `${name}@${version}`]);
  if (installed.code !== 0) return count(false, `${name}@${version} cannot be had`, installed.output);
  const node = join(own, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  const exact = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  for (const command of version === TOO_OLD ? ['--help'] : COMMANDS) {
    const { code, stdout, stderr } = await startProgram([node, LAUNCHER, ...command.split(' ')], { cwd: own });
    const well =
      version === TOO_OLD
        ? code === 2 && /^ijepa: Node \S+ is too old\n {2}what to do: install Node 20\.19.*\n$/.test(stderr)
        : code === 0 && stdout.length > 0 && !/warning|bug/i.test(stderr);
    count(well, `${exact}: ijepa ${command}`, `exit code ${code}\n${stderr}`);
  }
}

function count(well: boolean, what: string, more: string): void {
  if (well) passed += 1;
  else failed += 1;
  process.stdout.write(`${well ? 'ok' : 'FAILED'}  ${what}\n${well ? '' : `${more}\n`}`);
}
