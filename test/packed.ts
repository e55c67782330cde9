import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, startProgram } from './helpers/command.js';
import { ROOT } from './helpers/paths.js';

/*
 * Installs the program, built, as users do, into temporary folders, and looks whether the fast engine is there:
 * `npm run test:packed`. Install scripts of dependencies run as npm has it by default, whatever host they reach.
 */
const LARGEST_MEGABYTES = 250;
const WAYS: { title: string; folder: string; args: string[]; command: string[] }[] = [
  { title: 'npm i', folder: 'plain', args: [], command: ['npx', 'ijepa'] },
  { title: 'npm i --ignore-scripts', folder: 'a folder', args: ['--ignore-scripts'], command: ['npx', 'ijepa'] },
  { title: 'npm i -g', folder: 'global', args: ['-g', '--prefix', '.'], command: [join('bin', 'ijepa')] },
];

const folder = mkdtempSync(join(tmpdir(), 'ijepa-packed-'));
let failed = 0;
let passed = 0;
try {
  const packed = await npm(['pack', '--pack-destination', folder], ROOT);
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (packed.code !== 0 || archive === undefined) throw new Error(packed.stderr);
  say(`${archive}: ${megabytes(statSync(join(folder, archive)).size)}`);
  for (const way of WAYS) await tryWay(way, join(folder, archive));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function tryWay({ title, folder: name, args, command }: (typeof WAYS)[number], archive: string): Promise<void> {
  const own = join(folder, name);
  mkdirSync(own);
  const installed = await npm(['i', archive, '--ignore-scripts=false', ...args], own);
  count(installed.code === 0 && !/deprecated/.test(installed.stderr), title, installed.stderr);
  const list = await startProgram([...command, 'engine', 'list', '--json'], { cwd: own });
  const engines: { engine: string; present: boolean }[] = list.code === 0 ? JSON.parse(list.stdout) : [];
  const isFast = engines.some(({ engine, present }) => engine === 'onnx' && present);
  count(isFast, `${title}: the engine onnx is there`, list.stdout + list.stderr);
  // Without its script npm keeps @tensorflow/tfjs-node-gpu, which brings the whole of TensorFlow.js.
  const largest = args.includes('--ignore-scripts') ? Number.POSITIVE_INFINITY : LARGEST_MEGABYTES * 1e6;
  const bytes = sizeOf(own);
  count(bytes < largest, `${title}: ${megabytes(bytes)} installed`, `over ${LARGEST_MEGABYTES} MB`);
}

function npm(args: readonly string[], cwd: string): Promise<Ended> {
  return startProgram(['npm', ...args, '--no-audit', '--no-fund'], { cwd });
}

function sizeOf(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function count(well: boolean, what: string, more: string): void {
  if (well) passed += 1;
  else failed += 1;
  say(`${well ? 'ok' : 'FAILED'}  ${what}${well ? '' : `\n${more}`}`);
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
