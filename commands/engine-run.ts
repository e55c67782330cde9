import { ENGINE_NAMES } from '../core/engine/contract.js';
import { installTensorflow, removeTensorflow } from '../core/engine/install/tensorflow.js';
import { measureMatMul } from '../core/engine/measure.js';
import { tryEngine } from '../core/engine/start.js';
import { UserError } from '../core/errors.js';

/** What is said of an engine. */
interface Row {
  engine: string;
  present: boolean;
  version: string | null;
  device: string | null;
  threads: number | null;
  matMulGflops: number | null;
  /** Why it is not there. */
  reason: string | null;
  isAuto: boolean;
}

/** Looks for every engine, times those that are there, and prints them. */
export async function listEngines(json: boolean): Promise<void> {
  const rows: Row[] = [];
  for (const name of ENGINE_NAMES) {
    const status = await tryEngine(name);
    const isAuto = status.present && !rows.some((row) => row.present);
    const absent = { version: null, device: null, threads: null, matMulGflops: null };
    if (!status.present) {
      rows.push({ engine: name, present: false, ...absent, reason: status.reason, isAuto });
      continue;
    }
    const { version, device, threads } = status.engine;
    const matMulGflops = Number((await measureMatMul(status.engine)).toFixed(1));
    rows.push({ engine: name, present: true, version, device, threads, matMulGflops, reason: null, isAuto });
  }
  process.stdout.write(json ? `${JSON.stringify(rows)}\n` : `${rows.map(describe).join('\n')}\n`);
}

/** Installs TensorFlow's native part and starts it, to see that it works. */
export async function installEngine(from: string, index: string | undefined): Promise<void> {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  await installTensorflow({ from, ...(index !== undefined && { index }) }, say);
  const status = await tryEngine('tensorflow');
  if (!status.present) {
    await removeTensorflow();
    throw new UserError(`TensorFlow was installed but does not start: ${status.reason}`, {
      remedy: 'use another --from; it was removed again',
    });
  }
  say(`the engine tensorflow is there: ${status.engine.version}, ${status.engine.device}`);
  say('use it with --engine tensorflow; remove it with: npx ijepa engine remove tensorflow');
}

export async function removeEngine(): Promise<void> {
  const removed = await removeTensorflow();
  process.stdout.write(removed ? 'the native part of TensorFlow was removed\n' : 'there was nothing to remove\n');
}

function describe(row: Row): string {
  const name = row.engine.padEnd(16);
  if (!row.present) return `${name}absent: ${row.reason}`;
  const threads = row.threads === 1 ? '1 thread' : `${row.threads} threads`;
  const auto = row.isAuto ? '  <- auto: the first of this list that is there, fastest first' : '';
  return `${name}${row.version}, ${row.device}, ${threads}, products of matrices at ${row.matMulGflops} GFLOPS${auto}`;
}
