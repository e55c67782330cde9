import { createConsole } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { commandName } from '../core/base/program.js';
import { ENGINE_NAMES, type EngineName } from '../core/engine/contract.js';
import { installOnnx, removeOnnx } from '../core/engine/install/onnx.js';
import { installOpenvino, removeOpenvino } from '../core/engine/install/openvino.js';
import { hasOpenvino, hasRuntime, THIS_PLATFORM } from '../core/engine/install/place.js';
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
export async function installEngine(options: EngineInstallOptions): Promise<void> {
  const { engine, from, platform, ifAbsent } = options;
  const console = createConsole(false);
  const index = options.index ?? process.env.PIP_INDEX_URL;
  const indexed = index === undefined ? {} : { index };
  if (engine === 'onnx') {
    const platforms = platform.length > 0 ? platform : [THIS_PLATFORM];
    if (ifAbsent && platforms.every((name) => hasRuntime(name))) return;
    await installOnnx(platforms, console);
    if (!platforms.includes(THIS_PLATFORM)) return;
  } else if (engine === 'openvino') {
    if (ifAbsent && hasOpenvino()) return;
    await installOpenvino({ from: from ?? 'pypi', ...indexed }, console);
  } else {
    await installTensorflow({ from: from ?? 'own', ...indexed }, console);
  }
  const status = await tryEngine(engine);
  if (!status.present) {
    const problem = `was installed but does not start: ${status.reason}`;
    if (engine === 'onnx') throw new UserError(`ONNX Runtime ${problem}`);
    await INSTALLED[engine].remove();
    throw new UserError(`${INSTALLED[engine].title} ${problem}`, {
      remedy: 'use another --from; it was removed again',
    });
  }
  console.line(`the engine ${engine} is there: ${status.engine.version}, ${status.engine.device}`);
  console.line(`use it with --engine ${engine}; remove it with: ${commandName()} engine remove ${engine}`);
}

/** What `install` adds. */
const INSTALLED = {
  onnx: { title: 'ONNX Runtime', remove: removeOnnx },
  openvino: { title: 'OpenVINO', remove: () => removeOpenvino() },
  tensorflow: { title: 'the native part of TensorFlow', remove: removeTensorflow },
};

export async function removeEngine(engine: EngineInstallOptions['engine']): Promise<void> {
  const { title, remove } = INSTALLED[engine];
  const removed = await remove();
  process.stdout.write(removed ? `${title} was removed\n` : 'there was nothing to remove\n');
}

function describe(row: Row): string {
  const name = row.engine.padEnd(16);
  if (!row.present) return `${name}absent: ${row.reason}`;
  const threads = row.threads === 1 ? '1 thread' : `${row.threads} threads`;
  const auto = row.isAuto ? '  <- auto: the first of this list that is there' : '';
  return `${name}${row.version}, ${row.device}, ${threads}, products of matrices at ${row.matMulGflops} GFLOPS${auto}`;
}
