import { isDeepStrictEqual } from 'node:util';
import { type Console, count } from '../base/console.js';
import { UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import { type Tensor, tf } from '../engine/tf.js';
import { isBuiltin } from '../exchange/builtin.js';
import type { AnyEncoderFile } from '../exchange/encoder-file.js';
import { readAnyEncoder, readEncoder, readNetwork } from '../exchange/read.js';
import type { TorchTensor } from '../exchange/torch/tree.js';
import { readWhole } from '../exchange/whole.js';
import type { Method, Networks } from '../methods/method.js';
import type { Parameters } from '../nn/parameters.js';
import { ARCHITECTURE_NAMES, ARCHITECTURES, encoderName, isResNet, type VitSize } from '../nn/sizes.js';
import type { Optimiser } from '../optim/optimiser.js';
import { initialNetworks, initialState, type TrainState, tensorsOf } from '../train/state.js';

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
  const usual = await readAnyEncoder(path, null);
  requireSameEncoder(path, usual, method, options);
  const encoderOf = Object.fromEntries(Object.entries(method.encoders).map(([name, network]) => [network, name]));
  const isOther = (encoder: string) => encoder !== usual.facts.encoder && usual.names.includes(encoder);
  const taken: string[] = [];
  for (const name of Object.keys(networks)) {
    const encoder = encoderOf[name];
    const stored =
      encoder === undefined
        ? await readNetwork(path, name)
        : (isOther(encoder) ? await readAnyEncoder(path, encoder) : usual).tensors;
    const isWhole = Object.entries(networks[name]).every(
      ([parameter, { shape }]) => stored.get(parameter)?.shape.join() === shape.join(),
    );
    if (encoder === undefined && !isWhole) continue; // of other sizes, or not there
    networks[name] = replaced(networks[name], stored);
    taken.push(name);
  }
  const fresh = Object.keys(networks).filter((name) => !taken.includes(name));
  const source = isBuiltin(path) ? `${path}, weights that come with the program` : path;
  console.line(`start      ${taken.join(', ')} of ${source}${fresh.length > 0 ? `; fresh: ${fresh.join(', ')}` : ''}`);
  for (const note of usual.notes) console.warn(`note       ${note}`);
  return networks;
}

/**
 * The state at which another run stopped, of this program or of the reference code: its weights, moments and epoch, so that
 * this run does the epochs that are left.
 * @param path what holds it; null where nothing was named
 * @throws UserError if it cannot be read, is of other sizes, has no moments, or there is nothing left to do
 */
export async function continuedState(
  path: string | null,
  method: Method,
  { name, slotNames }: Optimiser,
  options: Options,
  epochSteps: number,
  console: Console,
): Promise<TrainState> {
  if (path === null) {
    throw new UserError('--resume-optimizer goes on with nothing', { remedy: 'name a checkpoint with --init-from' });
  }
  const size = method.sizes.encoder;
  if (isResNet(size)) {
    throw new UserError(
      '--resume-optimizer goes on with vision transformers alone, and the encoder is a residual network',
      {
        expected: 'a run that goes on by itself, or --init-from for weights alone',
        remedy: 'leave --resume-optimizer out',
      },
    );
  }
  requireSameEncoder(path, await readEncoder(path, null, { heads: size.heads }), method, options);
  const { networks, moments, epoch } = await readWhole(path, size.heads);
  if (!moments)
    throw new UserError(`${path} holds no moments of an optimiser`, { remedy: 'leave --resume-optimizer out' });
  if (epoch >= options.epochs) {
    throw new UserError(`${path} was trained for ${count(epoch, 'epoch')}, and this run has ${options.epochs}`, {
      remedy: `use --epochs with a number above ${epoch}`,
    });
  }
  const stored = (from: Stored, network: string, parameter: string, shape: readonly number[], otherwise?: Tensor) => {
    const found = from[network]?.get(parameter);
    if (found?.shape.join() === shape.join())
      return found.read().then((data) => tf.tensor(data as Float32Array, [...shape]));
    if (otherwise && !found) return otherwise;
    throw new UserError(`${path} has no ${network}.${parameter} [${shape}] for ${name}`, {
      expected: 'the networks and the optimiser of this run',
      remedy: 'check --predictor-dim, --predictor-depth and --optimiser, or leave --resume-optimizer out',
    });
  };
  const state = initialState(method, slotNames, options.seed);
  const each = async (from: Stored, groups: Networks, isMoment: boolean) => {
    const made: Record<string, Record<string, Tensor>> = {};
    for (const [network, parameter, tensor] of tensorsOf(groups)) {
      made[network] ??= {};
      made[network][parameter] = await stored(from, network, parameter, tensor.shape, isMoment ? tensor : undefined);
      if (made[network][parameter] !== tensor) tensor.dispose();
    }
    return made;
  };
  const weights = await each(networks, state.networks, false);
  const slots: Record<string, Networks> = {};
  for (const [slot, groups] of Object.entries(state.slots)) {
    slots[slot] = await each(slot in moments ? moments[slot as 'first'] : {}, groups, slot in moments);
  }
  console.line(`start      ${path} after epoch ${epoch}, with its moments of ${moments.step} steps`);
  return { ...state, step: epoch * epochSteps, networks: weights, slots };
}

type Stored = Readonly<Record<string, ReadonlyMap<string, TorchTensor>>>;

/** Parameters with the values that are stored of them; those that are not, such as a mask token, stay. */
function replaced(parameters: Parameters, stored: ReadonlyMap<string, { data: ArrayLike<number> | BigInt64Array }>) {
  const entries = Object.entries(parameters).map(([name, tensor]): [string, Tensor] => {
    const data = stored.get(name)?.data;
    if (!(data instanceof Float32Array)) return [name, tensor];
    const { shape } = tensor;
    tensor.dispose();
    return [name, tf.tensor(data.slice(), shape)]; // two encoders may start from the same values
  });
  return Object.fromEntries(entries);
}

function requireSameEncoder(
  path: string,
  { size, positions }: AnyEncoderFile,
  { sizes }: Method,
  options: Options,
): void {
  if (positions !== null) {
    throw new UserError(`${path} has positions that were learned`, {
      expected: 'sine-cosine positions, which training computes itself, or relative ones',
      remedy: 'use a model of such positions, or finetune-1pct and probe, which take any',
    });
  }
  const numbers = ({ dim, depth, heads, mlpRatio, classToken, layerScale, relativePositions }: VitSize) =>
    [dim, depth, heads, Math.floor(dim * mlpRatio), !!classToken, !!layerScale, !!relativePositions].join();
  const own = sizes.encoder;
  const { encoder } = size;
  if (isResNet(own) || isResNet(encoder)) {
    if (isDeepStrictEqual(own, encoder)) return;
    const [theirs, ours] = [encoder, own].map((each) => encoderName(each, options.patchSize));
    throw new UserError(`${path} is of another model (${theirs}) than this run (${ours})`, {
      expected: 'an encoder of the same kind and sizes',
      remedy:
        'use the --backbone, --width and --selective-kernels of that model, another --init-from, or --init-from none',
    });
  }
  if (numbers(encoder) === numbers(own) && size.patchSize === options.patchSize) return;
  const told = ({ dim, depth, heads }: VitSize, patch: number) =>
    `${dim} x ${depth}, ${heads} heads, patches of ${patch}`;
  const known = ARCHITECTURE_NAMES.find((name) => numbers(ARCHITECTURES[name]) === numbers(encoder));
  const { dim, depth, heads } = encoder;
  const flags = known ? `--arch ${known}` : `--dim ${dim} --depth ${depth} --heads ${heads}`;
  const [theirs, ours] = [told(encoder, size.patchSize), told(own, options.patchSize)];
  throw new UserError(`${path} is of another model (${theirs}) than this run (${ours})`, {
    expected: 'an encoder of the same sizes and parts',
    remedy: `use ${flags} --patch-size ${size.patchSize}, another --init-from, or --init-from none`,
  });
}
