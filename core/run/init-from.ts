import type { Console } from '../base/console.js';
import { UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { EncoderFile } from '../exchange/encoder-file.js';
import { readEncoder, readNetwork } from '../exchange/read.js';
import type { Method, Networks } from '../methods/method.js';
import type { Parameters } from '../nn/parameters.js';
import { ARCHITECTURE_NAMES, ARCHITECTURES, type VitSize } from '../nn/sizes.js';
import { initialNetworks } from '../train/state.js';

/**
 * The weights from which a run starts: those of a model, and fresh ones for what it does not hold. Each encoder starts from
 * the one of its name; where the model has none of that name, from the one by which it is judged.
 * @throws UserError if the model cannot be read, or is of other sizes than the run's
 */
export async function networksFrom(
  path: string,
  method: Method,
  options: Options,
  console: Console,
): Promise<Networks> {
  const networks: Record<string, Parameters> = { ...initialNetworks(method, options.seed) };
  const usual = await readEncoder(path, null);
  requireSameEncoder(path, usual, method, options);
  const encoderOf = Object.fromEntries(Object.entries(method.encoders).map(([name, network]) => [network, name]));
  const taken: string[] = [];
  for (const name of Object.keys(networks)) {
    const encoder = encoderOf[name];
    const stored =
      encoder === undefined
        ? await readNetwork(path, name)
        : (usual.names.includes(encoder) ? await readEncoder(path, encoder) : usual).tensors;
    const isWhole = Object.entries(networks[name]).every(
      ([parameter, { shape }]) => stored.get(parameter)?.shape.join() === shape.join(),
    );
    if (encoder === undefined && !isWhole) continue; // of other sizes, or not there
    networks[name] = replaced(networks[name], stored);
    taken.push(name);
  }
  const fresh = Object.keys(networks).filter((name) => !taken.includes(name));
  console.line(`start      ${taken.join(', ')} of ${path}${fresh.length > 0 ? `; fresh: ${fresh.join(', ')}` : ''}`);
  for (const note of usual.notes) console.warn(`note       ${note}`);
  return networks;
}

/** Parameters with the values that are stored of them; those that are not, such as a mask token, stay. */
function replaced(parameters: Parameters, stored: ReadonlyMap<string, { data: ArrayLike<number> | BigInt64Array }>) {
  const entries = Object.entries(parameters).map(([name, tensor]): [string, Tensor] => {
    const data = stored.get(name)?.data;
    if (!(data instanceof Float32Array)) return [name, tensor];
    const { shape } = tensor;
    tensor.dispose();
    return [name, tf.tensor(data, shape)];
  });
  return Object.fromEntries(entries);
}

function requireSameEncoder(path: string, { size, positions }: EncoderFile, { sizes }: Method, options: Options): void {
  if (positions !== null) {
    throw new UserError(`${path} has positions that were learned`, {
      expected: 'sine-cosine positions, which training computes itself, or relative ones',
      remedy: 'use a model of such positions, or finetune-1pct and probe, which take any',
    });
  }
  const numbers = ({ dim, depth, heads, mlpRatio, classToken, layerScale, relativePositions }: VitSize) =>
    [dim, depth, heads, Math.floor(dim * mlpRatio), !!classToken, !!layerScale, !!relativePositions].join();
  const own = sizes.encoder;
  if (numbers(size.encoder) === numbers(own) && size.patchSize === options.patchSize) return;
  const told = ({ dim, depth, heads }: VitSize, patch: number) =>
    `${dim} x ${depth}, ${heads} heads, patches of ${patch}`;
  const known = ARCHITECTURE_NAMES.find((name) => numbers(ARCHITECTURES[name]) === numbers(size.encoder));
  const { dim, depth, heads } = size.encoder;
  const flags = known ? `--arch ${known}` : `--dim ${dim} --depth ${depth} --heads ${heads}`;
  const [theirs, ours] = [told(size.encoder, size.patchSize), told(own, options.patchSize)];
  throw new UserError(`${path} is of another model (${theirs}) than this run (${ours})`, {
    expected: 'an encoder of the same sizes and parts',
    remedy: `use ${flags} --patch-size ${size.patchSize}, or another --init-from`,
  });
}
