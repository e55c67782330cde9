import { UserError } from '../core/base/errors.js';
import { commandName } from '../core/base/program.js';
import { ENGINE_NAMES, type Engine } from '../core/engine/contract.js';
import { installOnnx, removeOnnx } from '../core/engine/install/onnx.js';
import { hasRuntime, THIS_PLATFORM } from '../core/engine/install/place.js';
import { installTensorflow, removeTensorflow } from '../core/engine/install/tensorflow.js';
import { measureMatMul, tryEngine } from '../core/engine/start.js';
import type { EngineInstallOptions } from './options/others.js';

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

/** Installs an engine and starts it, to see that it works. */
export async function installEngine({ engine, from, index, platform, ifAbsent }: EngineInstallOptions): Promise<void> {
  if (engine === 'onnx') return installFast(platform.length > 0 ? platform : [THIS_PLATFORM], ifAbsent);
  const source = index ?? process.env.PIP_INDEX_URL;
  await installTensorflow({ from: from ?? 'own', ...(source !== undefined && { index: source }) }, say);
  const status = await tryEngine('tensorflow');
  if (!status.present) {
    await removeTensorflow();
    throw new UserError(`TensorFlow was installed but does not start: ${status.reason}`, {
      remedy: 'use another --from; it was removed again',
    });
  }
  sayPresent('tensorflow', status.engine);
}

export async function removeEngine(engine: string): Promise<void> {
  const removed = await (engine === 'onnx' ? removeOnnx() : removeTensorflow());
  const what = engine === 'onnx' ? 'ONNX Runtime' : 'the native part of TensorFlow';
  say(removed ? `${what} was removed` : 'there was nothing to remove');
}

async function installFast(platforms: readonly string[], ifAbsent: boolean): Promise<void> {
  if (ifAbsent && platforms.every((name) => hasRuntime(name))) return;
  await installOnnx(platforms, say);
  if (!platforms.includes(THIS_PLATFORM)) return;
  const status = await tryEngine('onnx');
  if (!status.present) throw new UserError(`ONNX Runtime was installed but does not start: ${status.reason}`);
  sayPresent('onnx', status.engine);
}

function sayPresent(name: string, { version, device }: Engine): void {
  say(`the engine ${name} is there: ${version}, ${device}`);
  say(`use it with --engine ${name}; remove it with: ${commandName()} engine remove ${name}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function describe(row: Row): string {
  const name = row.engine.padEnd(16);
  if (!row.present) return `${name}absent: ${row.reason}`;
  const threads = row.threads === 1 ? '1 thread' : `${row.threads} threads`;
  const auto = row.isAuto ? '  <- auto: the first of this list that is there, fastest first' : '';
  return `${name}${row.version}, ${row.device}, ${threads}, products of matrices at ${row.matMulGflops} GFLOPS${auto}`;
}
