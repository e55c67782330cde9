/**
 * Tries many inputs on every reader of outside bytes: `npm run test:fuzz -- [--cases N] [--seed S] [--reader NAME]`. Each
 * reader runs in a process of its own, with little memory, so that one that hangs, crashes or eats memory is told of like
 * any other failure. `--input FILE --reader NAME` tries one file again. Ends with 1 where something failed.
 */
import { fork } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UserError, unknownName } from '../../core/base/errors.js';
import { judge } from './judge.js';
import type { FuzzedReader } from './reader.js';
import { fuzzedReaders } from './table.js';
import { LONGEST_WAIT_MS, type Summary } from './trial.js';

/** Memory of a reader's process for JavaScript values, in MiB. */
const HEAP = 512;
const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));

/** What a reader's process says: how far it is, and at the end what came of it. */
export type Message =
  | { so: Omit<Summary, 'failure'> }
  | { summary: Omit<Summary, 'failure'>; problem: string | null; input: string };

/** Runs a reader's cases in a process of its own. */
function runReader(reader: FuzzedReader, cases: number, seed: number, folder: string) {
  let so: Omit<Summary, 'failure'> = { reader: reader.name, cases: 0, returned: 0, refused: 0 };
  let end: { problem: string | null; input: string } | undefined;
  const child = fork(WORKER, [reader.name, String(cases), String(seed), folder], {
    execArgv: [`--max-old-space-size=${HEAP}`],
  });
  let hangs = false;
  const watch = setTimeout(() => {
    hangs = true;
    child.kill('SIGKILL');
  }, 2 * LONGEST_WAIT_MS);
  child.on('message', (message: Message) => {
    watch.refresh();
    if ('so' in message) so = message.so;
    else {
      so = message.summary;
      end = message;
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${reader.name}: ${so.cases} of ${cases}\x1b[K`);
  });
  return new Promise<{ so: typeof so; problem: string | null; input: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(watch);
      const died = hangs ? 'it does not come to an end' : `its process ended with ${signal ?? `exit code ${code}`}`;
      resolve({ so, ...(end ?? { problem: died, input: join(folder, reader.file) }) });
    });
  });
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '100000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      reader: { type: 'string', multiple: true, default: [] },
      input: { type: 'string' },
    },
  });
  const readers = await fuzzedReaders();
  const names = readers.map(({ name }) => name);
  for (const name of values.reader) if (!names.includes(name)) throw unknownName('reader', name, names);
  const chosen = readers.filter(({ name }) => values.reader.length === 0 || values.reader.includes(name));
  const [cases, seed] = [wholeNumber('--cases', values.cases), wholeNumber('--seed', values.seed)];
  const place = await mkdtemp(join(tmpdir(), 'ijepa-fuzz-'));
  if (values.input !== undefined) return tryAgain(chosen, values.input, place);
  const each = Math.ceil(cases / chosen.length);
  process.stdout.write(`${chosen.length} readers, ${each} cases each, seed ${seed}\n`);
  let isRight = true;
  const total = { cases: 0, returned: 0, refused: 0, failures: 0 };
  for (const reader of chosen) {
    const start = Date.now();
    const { so, problem, input } = await runReader(reader, each, seed, join(place, reader.name));
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    process.stdout.write(
      `${reader.name.padEnd(24)} ${String(so.cases).padStart(7)} cases  ${String(so.returned).padStart(7)} returned  ` +
        `${String(so.refused).padStart(7)} refused  ${problem === null ? 0 : 1} failures  ${seconds} s\n`,
    );
    total.cases += so.cases;
    total.returned += so.returned;
    total.refused += so.refused;
    if (problem === null) continue;
    isRight = false;
    total.failures++;
    const kept = join(tmpdir(), `ijepa-fuzz-${reader.name}-${seed}`);
    await copyFile(input, kept);
    process.stdout.write(
      `  input ${kept}, seed ${seed}\n  again: npm run test:fuzz -- --reader ${reader.name} --input ${kept}\n  ${problem.replaceAll('\n', '\n  ')}\n`,
    );
  }
  process.stdout.write(
    `together ${total.cases} cases: ${total.returned} returned, ${total.refused} refused, ${total.failures} failures\n`,
  );
  await rm(place, { recursive: true, force: true });
  return isRight;
}

/** Tries one file on readers, in this process. */
async function tryAgain(readers: readonly FuzzedReader[], input: string, place: string): Promise<boolean> {
  const bytes = await readFile(input);
  for (const reader of readers) {
    await reader.prepare?.(place);
    process.stdout.write(`${reader.name}: ${await judge(reader, place, bytes)}\n`);
  }
  await rm(place, { recursive: true, force: true });
  return true;
}

function wholeNumber(flag: string, word: string): number {
  const value = Number(word);
  if (word.trim() !== '' && Number.isSafeInteger(value)) return value;
  throw new UserError(`${flag} cannot be '${word}'`, { expected: 'a whole number' });
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.report}\n`);
  process.exitCode = 2;
}
