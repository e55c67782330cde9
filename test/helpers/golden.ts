import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { ParameterShapes, Parameters } from '../../core/nn/parameters.js';
import { relativeDifference } from './engines.js';
import { FIXTURES } from './paths.js';

/** Values that another program computed: `golden.json` and `golden.safetensors` of a folder of fixtures. */
export interface Golden<Settings> {
  readonly settings: Settings;
  tensor(name: string): Tensor;
  /** The tensors of these names after a prefix; their shapes have to be the same. */
  parameters(prefix: string, shapes: ParameterShapes): Parameters;
  /** The largest difference, relative to the largest expected value, is within the tolerance. */
  near(t: ExecutionContext, actual: Tensor, name: string, tolerance: number): Promise<void>;
}

export async function readGolden<Settings>(topic: string): Promise<Golden<Settings>> {
  const folder = join(FIXTURES, topic);
  const { tensors } = await readSafetensors(join(folder, 'golden.safetensors'));
  const stored = (name: string) => {
    const found = tensors.get(name);
    if (!found || found.data instanceof BigInt64Array) throw new Error(`${folder} has no numbers ${name}`);
    return { shape: [...found.shape], data: found.data };
  };
  const tensor = (name: string) => {
    const { data, shape } = stored(name);
    return tf.tensor(data, shape);
  };
  return {
    settings: JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')),
    tensor,
    parameters: (prefix, shapes) =>
      Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => {
          const found = stored(prefix + name).shape;
          if (found.join() !== shape.join()) throw new Error(`${prefix}${name} is [${found}], expected [${shape}]`);
          return [name, tensor(prefix + name)];
        }),
      ),
    async near(t, actual, name, tolerance) {
      const { data, shape } = stored(name);
      t.deepEqual(actual.shape, shape, name);
      const difference = relativeDifference(await actual.data(), data);
      t.true(difference <= tolerance, `${name}: off by ${difference}, allowed ${tolerance}`);
    },
  };
}
