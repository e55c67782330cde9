import { join } from 'node:path';
import { createConsole } from '../core/base/console.js';
import { reasonOf, UserError } from '../core/base/errors.js';
import { commandName, commandPath, directCommand } from '../core/base/program.js';
import { ENGINE_NAMES, type EngineName } from '../core/engine/contract.js';
import { installMpi, removeMpi } from '../core/engine/install/mpi.js';
import { installOnnx, removeOnnx } from '../core/engine/install/onnx.js';
import { installOpenvino, removeOpenvino } from '../core/engine/install/openvino.js';
import {
  hasMpi,
  hasOpenvino,
  hasRuntime,
  MPI_FOLDER,
  MPI_LAUNCHER,
  MPI_LIBRARY,
  THIS_PLATFORM,
} from '../core/engine/install/place.js';
import { installTensorflow, removeTensorflow } from '../core/engine/install/tensorflow.js';
import { measureMatMul, tryEngine } from '../core/engine/start.js';
import { mpiTitle } from '../core/train/communicator/mpi.js';
import { loadMpi } from '../core/train/communicator/mpi-library.js';
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

/** Installs an engine and starts it, or MPI and loads it, to see that it works. */
export async function install(options: EngineInstallOptions): Promise<void> {
  const { name, from, platform, ifAbsent } = options;
  const console = createConsole(false);
  const index = options.index ?? process.env.PIP_INDEX_URL;
  const indexed = index === undefined ? {} : { index };
  if (name === 'onnx') {
    const platforms = platform.length > 0 ? platform : [THIS_PLATFORM];
    if (ifAbsent && platforms.every((each) => hasRuntime(each))) return;
    await installOnnx(platforms, console);
    if (!platforms.includes(THIS_PLATFORM)) return;
  } else if (name === 'openvino') {
    if (ifAbsent && hasOpenvino()) return;
    await installOpenvino({ from: from ?? 'pypi', ...indexed }, console);
  } else if (name === 'mpi') {
    if (ifAbsent && hasMpi()) return;
    await installMpi({ from: from ?? 'pypi', ...indexed }, console);
  } else {
    await installTensorflow({ from: from ?? 'own', ...indexed }, console);
  }
  const lines = await (name === 'mpi' ? tryMpi() : tryInstalled(name)).catch(async (error: unknown) => {
    const problem = `${INSTALLED[name].title} was installed but does not start: ${reasonOf(error)}`;
    if (name === 'onnx') throw new UserError(problem, {}, { cause: error });
    await INSTALLED[name].remove();
    throw new UserError(problem, { remedy: 'use another --from; it was removed again' }, { cause: error });
  });
  for (const line of lines) console.line(line);
  console.line(`remove it with: ${commandName()} engine remove ${name}`);
}

type Installed = EngineInstallOptions['name'];

/** What `install` adds. */
const INSTALLED: Readonly<Record<Installed, { title: string; remove: () => Promise<boolean> }>> = {
  onnx: { title: 'ONNX Runtime', remove: removeOnnx },
  openvino: { title: 'OpenVINO', remove: () => removeOpenvino() },
  tensorflow: { title: 'the native part of TensorFlow', remove: removeTensorflow },
  mpi: { title: 'MPICH', remove: () => removeMpi() },
};

/** @throws Error if the engine does not start; its message is the reason */
async function tryInstalled(name: Exclude<Installed, 'mpi'>): Promise<string[]> {
  const status = await tryEngine(name);
  if (!status.present) throw new Error(status.reason);
  const { version, device } = status.engine;
  return [`the engine ${name} is there: ${version}, ${device}`, `use it with --engine ${name}`];
}

/** @throws Error if the library does not load; its message is the reason */
async function tryMpi(): Promise<string[]> {
  const library = await loadMpi(join(MPI_FOLDER, MPI_LIBRARY));
  const launcher = commandPath(join(MPI_FOLDER, MPI_LAUNCHER));
  return [
    `${mpiTitle(library.version())} is there`,
    `start a run with it, here in two processes: ${launcher} -n 2 ${directCommand()} pretrain DATA --out runs/big`,
  ];
}

/** Removes what `install` added. */
export async function remove(name: Installed): Promise<void> {
  const { title, remove: removeIt } = INSTALLED[name];
  const removed = await removeIt();
  process.stdout.write(removed ? `${title} was removed\n` : 'there was nothing to remove\n');
}

function describe(row: Row): string {
  const name = row.engine.padEnd(16);
  if (!row.present) return `${name}absent: ${row.reason}`;
  const threads = row.threads === 1 ? '1 thread' : `${row.threads} threads`;
  const auto = row.isAuto ? '  <- auto: the first of this list that is there' : '';
  return `${name}${row.version}, ${row.device}, ${threads}, products of matrices at ${row.matMulGflops} GFLOPS${auto}`;
}
