import { UserError } from '../core/base/errors.js';
import { commandName } from '../core/base/program.js';
import { ENGINE_NAMES, type EngineName } from '../core/engine/contract.js';
import { installOnnx, removeOnnx } from '../core/engine/install/onnx.js';
import { hasRuntime, THIS_PLATFORM } from '../core/engine/install/place.js';
import { installTensorflow, removeTensorflow } from '../core/engine/install/tensorflow.js';
import { measureMatMul, tryEngine } from '../core/engine/start.js';
import type { EngineInstallOptions } from './options/others.js';

/** Looks for every engine, times those that are there, and prints them. */
export async function listEngines(json: boolean): Promise<void> {
  const rows: Row[] = [];
  for (const name of ENGINE_NAMES) rows.push(await rowOf(name, !rows.some(({ present }) => present)));
  process.stdout.write(json ? `${JSON.stringify(rows)}\n` : `${rows.map(describe).join('\n')}\n`);
}

type Row = Awaited<ReturnType<typeof rowOf>>;

/** What is said of an engine. @param isFirst whether none before it is there */
async function rowOf(engine: EngineName, isFirst: boolean) {
  const status = await tryEngine(engine);
  if (!status.present) {
    const absent = { version: null, device: null, threads: null, matMulGflops: null };
    return { engine, present: false, ...absent, reason: status.reason, isAuto: false };
  }
  const { version, device, threads } = status.engine;
  const matMulGflops = Number((await measureMatMul(status.engine)).toFixed(1));
  return { engine, present: true, version, device, threads, matMulGflops, reason: null, isAuto: isFirst };
}

/** Installs an engine and starts it, to see that it works. */
export async function installEngine({ engine, from, index, platform, ifAbsent }: EngineInstallOptions): Promise<void> {
  if (engine === 'onnx') {
    const platforms = platform.length > 0 ? platform : [THIS_PLATFORM];
    if (ifAbsent && platforms.every((name) => hasRuntime(name))) return;
    await installOnnx(platforms, say);
    if (!platforms.includes(THIS_PLATFORM)) return;
  } else {
    const source = index ?? process.env.PIP_INDEX_URL;
    await installTensorflow({ from: from ?? 'own', ...(source !== undefined && { index: source }) }, say);
  }
  const status = await tryEngine(engine);
  if (!status.present) {
    const problem = `was installed but does not start: ${status.reason}`;
    if (engine === 'onnx') throw new UserError(`ONNX Runtime ${problem}`);
    await removeTensorflow();
    throw new UserError(`TensorFlow ${problem}`, { remedy: 'use another --from; it was removed again' });
  }
  say(`the engine ${engine} is there: ${status.engine.version}, ${status.engine.device}`);
  say(`use it with --engine ${engine}; remove it with: ${commandName()} engine remove ${engine}`);
}

export async function removeEngine(engine: string): Promise<void> {
  const removed = await (engine === 'onnx' ? removeOnnx() : removeTensorflow());
  const what = engine === 'onnx' ? 'ONNX Runtime' : 'the native part of TensorFlow';
  say(removed ? `${what} was removed` : 'there was nothing to remove');
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
