import { type Code, doWhile, sequence, Variables, v128 } from '../../wasm/instructions.js';
import { assembleModule, type WasmFunction } from '../../wasm/module.js';

/** The numbers of an update, in the order in which the kernel reads them. */
export const NUMBERS = [
  'beta1',
  'oneMinusBeta1',
  'beta2',
  'oneMinusBeta2',
  'decayFactor',
  'stepSize',
  'inverseSqrtBiasCorrection2',
  'epsilon',
  'emaDecay',
  'oneMinusEmaDecay',
] as const;

/** Floats that are computed together. */
export const LANES = 4;
const BYTES = 4 * LANES;
const PAGE = 2 ** 16;

/** The kernels with a memory of their own. The first parameter is how many vectors of four floats; others are addresses. */
export interface UpdateKernels {
  readonly memory: ArrayBufferLike;
  /** (groups, gradient, value, first, second, target, numbers, squares); the target's address is passed over */
  update(...parameters: number[]): void;
  /** The same with a moving average of the value. */
  updateWithTarget(...parameters: number[]): void;
  /** (groups, sum, addend): sum += addend */
  add(...parameters: number[]): void;
}

/** @param bytes of the memory, at least */
export function instantiateKernels(bytes: number): UpdateKernels {
  const module = assembleModule([updateKernel('update', false), updateKernel('updateWithTarget', true), addKernel()]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module));
  const memory = exports.memory as WebAssembly.Memory;
  memory.grow(Math.ceil(bytes / PAGE));
  return { ...(exports as unknown as UpdateKernels), memory: memory.buffer };
}

/**
 * The update of `UpdateParameter` on vectors of four floats, in single precision.
 *
 * Letters as there: m and v are `first` and `second`, θ is `value`, θ̄ is `target`.
 * @param hasTarget whether there is a moving average
 * @returns in `squares`, four sums of θ²
 */
function updateKernel(name: string, hasTarget: boolean): WasmFunction {
  const variables = new Variables('groups', 'gradient', 'value', 'first', 'second', 'target', 'numbers', 'squares');
  const { groups, gradient, value, first, second, target, numbers, squares } = variables.given;
  const [g, m, v, moved, sum] = variables.declareAll('v128', 5);
  const constants = NUMBERS.map(() => variables.declare('v128'));
  const number = (wanted: (typeof NUMBERS)[number]): Code => constants[NUMBERS.indexOf(wanted)].get;
  const { add, sub, mul, div, sqrt, load, store } = v128;

  const body = sequence(
    ...constants.map((constant, at) => constant.set(v128.loadSplat(numbers.get, 4 * at))),
    sum.set(v128.zero),
    doWhile(
      sequence(
        g.set(load(gradient.get)),
        m.set(add(mul(number('beta1'), load(first.get)), mul(number('oneMinusBeta1'), g.get))),
        v.set(add(mul(number('beta2'), load(second.get)), mul(number('oneMinusBeta2'), mul(g.get, g.get)))),
        moved.set(
          sub(
            mul(number('decayFactor'), load(value.get)),
            div(
              mul(number('stepSize'), m.get),
              add(mul(sqrt(v.get), number('inverseSqrtBiasCorrection2')), number('epsilon')),
            ),
          ),
        ),
        store(first.get, m.get),
        store(second.get, v.get),
        store(value.get, moved.get),
        hasTarget
          ? store(
              target.get,
              add(mul(number('emaDecay'), load(target.get)), mul(number('oneMinusEmaDecay'), moved.get)),
            )
          : [],
        sum.set(add(sum.get, mul(moved.get, moved.get))),
        ...[gradient, value, first, second, target].map((address) => address.add(BYTES)),
        groups.add(-1),
      ),
      groups.get,
    ),
    store(squares.get, sum.get),
  );
  return { name, parameters: variables.parameters, locals: variables.locals, body };
}

function addKernel(): WasmFunction {
  const variables = new Variables('groups', 'sum', 'addend');
  const { groups, sum, addend } = variables.given;
  const body = doWhile(
    sequence(
      v128.store(sum.get, v128.add(v128.load(sum.get), v128.load(addend.get))),
      sum.add(BYTES),
      addend.add(BYTES),
      groups.add(-1),
    ),
    groups.get,
  );
  return { name: 'add', parameters: variables.parameters, locals: variables.locals, body };
}
