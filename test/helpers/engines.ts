import type { ExecutionContext, TestFn } from 'ava';
import { ENGINE_NAMES, type Engine, type Precision } from '../../core/engine/contract.js';
import { type EngineStatus, startEngine, tryEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';

/** Looks for every engine; to be awaited before the first test is declared. */
export async function findEngines(): Promise<EngineStatus[]> {
  const engines: EngineStatus[] = [];
  for (const name of ENGINE_NAMES) engines.push(await tryEngine(name));
  return engines;
}

/** Engines without openvino, which leaves to onnx whatever is computed between networks. */
export const withoutOpenvino = (engines: readonly EngineStatus[]) => engines.filter(({ name }) => name !== 'openvino');

/**
 * Engines without cpu, whose plain JavaScript takes longest: for what is computed by operations that it is held to elsewhere,
 * in kernels, functions, a network and whole training steps.
 */
export const withoutCpu = (engines: readonly EngineStatus[]) => engines.filter(({ name }) => name !== 'cpu');

/** The first engine that is there: for what a program does, whichever computes. */
export const firstOf = (engines: readonly EngineStatus[]) => engines.filter(({ present }) => present).slice(0, 1);

/** Declares a test once for each engine; where one is absent, the test is skipped and its title says why. */
export function testOnEngines(
  test: TestFn,
  engines: readonly EngineStatus[],
  title: string,
  body: (t: ExecutionContext, engine: Engine) => Promise<void>,
  precision: Precision = 'float32',
): void {
  const inPrecision = precision === 'float32' ? '' : ` in ${precision}`;
  for (const engine of engines) {
    if (!engine.present) {
      test.skip(`${title}, on ${engine.name}${inPrecision} (skipped: ${engine.reason})`, (t) => t.fail());
      continue;
    }
    test.serial(`${title}, on ${engine.name}${inPrecision}`, async (t) => {
      // One thread, because others wait in a loop for operators that are too small for them.
      const started = await startEngine(engine.name, { precision, threads: 1 });
      tf.engine().startScope();
      await body(t, started);
      tf.engine().endScope();
    });
  }
}

/** The largest difference between two lists of numbers, relative to the largest expected one. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let scale = 1e-12;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i] as number));
    difference = Math.max(difference, Math.abs((actual[i] as number) - (expected[i] as number)));
  }
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference / scale;
}
