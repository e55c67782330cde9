import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, SMALLEST, startProgram } from './helpers/command.js';
import { examplesOf, typeComplaints } from './helpers/examples.js';
import { ROOT } from './helpers/paths.js';

/*
 * Installs the program, built, as users do, into temporary folders, and looks whether the fast engine is there and the
 * examples of core/README.md run: `npm run test:packed`. Install scripts of dependencies run as npm has it by default, whatever host they reach.
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
  await tryLibrary(join(folder, 'plain'));
  await tryWeights(join(folder, 'plain'));
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

/** Runs the examples of core/README.md in a folder where the program is installed, and has TypeScript check them. */
async function tryLibrary(own: string): Promise<void> {
  const training = ['npx', 'ijepa', 'pretrain', ...SMALLEST, '--epochs', '1', '--out', 'runs/demo'];
  const trained = await startProgram(training, { cwd: own });
  count(trained.code === 0, 'a run for the examples', trained.stderr);
  const examples = examplesOf('core/README.md');
  for (const { name, text, isRun } of examples) {
    writeFileSync(join(own, `${name}.mjs`), text);
    const command = isRun ? ['node', `${name}.mjs`] : ['npx', 'ijepa', 'plugin', 'check', `./${name}.mjs`];
    const { code, stdout, stderr } = await startProgram(command, { cwd: own });
    count(code === 0 && stdout !== '', `${name} of core/README.md runs`, stdout + stderr);
  }
  const complaints = typeComplaints(own, examples);
  count(complaints === '', 'the examples are right as TypeScript', complaints);
}

/** Searches and names pictures by the weights in the package, where nothing was trained. */
async function tryWeights(own: string): Promise<void> {
  for (const words of [
    ['search', 'shapes/0', '--in', 'shapes:20'],
    ['predict', 'builtin:drawings', 'shapes:4'],
  ]) {
    const { code, stdout, stderr } = await startProgram(['npx', 'ijepa', ...words], { cwd: own });
    count(code === 0 && /shapes\/\d/.test(stdout), `${words[0]} by the weights in the package`, stdout + stderr);
  }
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
