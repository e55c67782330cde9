import { type Code, doWhile, type Local, sequence, Variables, v128 } from '../../wasm/instructions.js';
import type { WasmFunction } from '../../wasm/module.js';

/** The numbers of an update, in the order in which the kernel reads them. */
export const NUMBERS = [
  'beta1',
  'restOfBeta1',
  'beta2',
  'restOfBeta2',
  'keep',
  'stepSize',
  'inverseCorrection',
  'epsilon',
  'momentum',
  'restOfMomentum',
] as const;

/** Floats that are updated together. */
export const LANES = 4;
export const BYTES = 4 * LANES;

/**
 * The update of `UpdateParameter` on vectors of four floats, in single precision:
 * updateX(groups, gradient, value, first, second, target, numbers, squares), all but the first one addresses.
 *
 * Letters as there: m and v are `first` and `second`, θ is `value`, θ̄ is `target`.
 * @param hasTarget whether there is a target encoder's copy; otherwise its address is passed over
 * @returns in `squares`, four sums of θ²
 */
export function updateKernel(name: string, hasTarget: boolean): WasmFunction {
  const variables = new Variables('groups', 'gradient', 'value', 'first', 'second', 'target', 'numbers', 'squares');
  const { groups, gradient, value, first, second, target, numbers, squares } = variables.given;
  const vector = () => variables.declare('v128');
  const [g, m, v, moved, sum] = [vector(), vector(), vector(), vector(), vector()];
  const constants = NUMBERS.map(() => vector());
  const number = (wanted: (typeof NUMBERS)[number]): Code => (constants[NUMBERS.indexOf(wanted)] as Local).get;
  const { add, sub, mul, div, sqrt, load, store } = v128;

  const body = sequence(
    ...constants.map((constant, at) => constant.set(v128.loadSplat(numbers.get, 4 * at))),
    sum.set(v128.zero),
    doWhile(
      sequence(
        g.set(load(gradient.get)),
        m.set(add(mul(number('beta1'), load(first.get)), mul(number('restOfBeta1'), g.get))),
        v.set(add(mul(number('beta2'), load(second.get)), mul(number('restOfBeta2'), mul(g.get, g.get)))),
        moved.set(
          sub(
            mul(number('keep'), load(value.get)),
            div(mul(number('stepSize'), m.get), add(mul(sqrt(v.get), number('inverseCorrection')), number('epsilon'))),
          ),
        ),
        store(first.get, m.get),
        store(second.get, v.get),
        store(value.get, moved.get),
        hasTarget
          ? store(target.get, add(mul(number('momentum'), load(target.get)), mul(number('restOfMomentum'), moved.get)))
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
