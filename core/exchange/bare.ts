import { UserError, unknownName } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import type { StoredTensor, TensorFile } from '../checkpoint/safetensors.js';
import { ARCHITECTURES, hiddenWidth, LARGEST_GRID, type VitSize } from '../nn/sizes.js';
import {
  type EncoderFile,
  type Given,
  type Naming,
  type NetworkFacts,
  POSITIONS,
  takeEncoder,
} from './encoder-file.js';

/* Weights by the names of the reference code, which are timm's too, in a file that does not say of which sizes they are. */

/** The one encoder of a file that holds nothing else. */
export const ONLY = 'encoder';

/** timm's name of a parameter: of layer scales, ours is that of data2vec's reference code. */
export function timmName(parameter: string): string {
  return parameter.replace(/gamma_([12])$/, 'ls$1.gamma');
}

/** The networks of I-JEPA's checkpoints that can be judged, by our names of encoders; the usual one first. */
export const ENCODERS = { target: 'target_encoder', context: 'encoder' };

/**
 * An encoder whose sizes are read off its tensors.
 * @param chosen what `chooseNetwork` gives
 * @throws UserError if it is none, or it does not show how many heads or pixels there are
 */
export function readBare(
  path: string,
  { tensors, name, names }: ChosenNetwork<StoredTensor>,
  metadata: TensorFile['metadata'],
  given: Given = {},
): EncoderFile {
  const isTimm = tensors.has('blocks.0.ls1.gamma');
  const naming: Naming = {
    of: (parameter) => [isTimm ? timmName(parameter) : parameter],
    ignored: (tensor) => /^(?:head|fc_norm)\./.test(tensor),
    source: 'the shape of its tensors',
  };
  const size = inferSize(path, tensors, given, isTimm);
  const facts = { ...ofFile(path, metadata, null), encoder: name, isUsualEncoder: name === names[0] };
  return { size, ...takeEncoder(path, tensors, size, naming), facts, names, notes: [] };
}

/** One network of a file. */
export interface ChosenNetwork<T> {
  /** Its tensors, without what stands before their names. */
  tensors: Map<string, T>;
  /** Its name, and those of all encoders of the file. */
  name: string;
  names: readonly string[];
}

/**
 * Chooses among the encoders of a whole checkpoint of the reference code, or takes the one that is alone.
 * @throws UserError if there is none of that name
 */
export function chooseNetwork<T>(path: string, all: ReadonlyMap<string, T>, encoder: string | null): ChosenNetwork<T> {
  const bare = (name: string) => name.replace(/^module\.|(?<=^(?:target_)?encoder\.)module\./, ''); // of torch's data parallel
  const named = [...all].map(([name, tensor]) => [bare(name), tensor] as const);
  const prefixes = Object.entries(ENCODERS).map(([name, network]) => [name, `${network}.`] as const);
  const there = prefixes.filter(([, prefix]) => named.some(([name]) => name.startsWith(prefix)));
  const known = there.length > 0 ? there : [[ONLY, '']];
  const names = known.map(([name]) => name);
  const [name, prefix] = (encoder === null ? known[0] : known.find(([each]) => each === encoder)) ?? [];
  if (name === undefined || prefix === undefined) throw unknownName('encoder', encoder ?? '', names, path);
  const own = named.filter(([each]) => each.startsWith(prefix));
  const tensors = new Map(own.map(([each, tensor]) => [each.slice(prefix.length), tensor]));
  return { tensors, name, names };
}

/** What is known of an encoder that is alone in its file: what this program wrote there, or what its kind tells. */
export function ofFile(path: string, metadata: TensorFile['metadata'], usualMethod: string | null): NetworkFacts {
  const { method = usualMethod, epoch, data = null } = metadata;
  const epochs = epoch !== undefined && /^\d{1,9}$/.test(epoch) ? Number(epoch) : null;
  const known = { method, epochs, pretrainedOn: data };
  return { weights: 'pretrained', encoder: ONLY, isUsualEncoder: true, ...known, checkpoint: path };
}

/** What `ofFile` reads. */
export function metadataOf({ method, epochs, pretrainedOn }: NetworkFacts): Record<string, string> {
  return {
    format: 'pt', // as others expect it
    ...(method !== null && { method }),
    ...(epochs !== null && { epoch: String(epochs) }),
    ...(pretrainedOn !== null && { data: pretrainedOn }),
  };
}

/** @throws UserError if another encoder is asked for than the only one */
export function requireOnly(path: string, encoder: string | null): void {
  if (encoder !== null && encoder !== ONLY) throw unknownName('encoder', encoder, [ONLY], path);
}

/** Sizes by the shapes of an encoder's tensors. */
export function inferSize(
  path: string,
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
  given: Given,
  isTimm = false,
): EncoderFile['size'] {
  const [dim, , patchSize] = tensors.get('patch_embed.proj.weight')?.shape ?? [];
  const hidden = tensors.get('blocks.0.mlp.fc1.bias')?.shape[0];
  if (!dim || !patchSize || !hidden) {
    throw new UserError(`${path} is not a vision transformer by the names of the reference code`, {
      expected: 'tensors such as patch_embed.proj.weight and blocks.0.mlp.fc1.bias',
      remedy: `name a checkpoint of \`${PROGRAM} pretrain\`, or a folder of Hugging Face or timm with its config.json`,
    });
  }
  const blocks = [...tensors.keys()].map((name) => Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1));
  const depth = blocks.reduce((most, block) => Math.max(most, block), 0) + 1;
  const classToken = tensors.has('cls_token');
  const layerScale = isTimm || tensors.has('blocks.0.gamma_1');
  const rows = tensors.get(POSITIONS)?.shape[1];
  const grid = rows === undefined ? undefined : Math.sqrt(rows - (classToken ? 1 : 0));
  const imageSize = grid === undefined ? given.imageSize : grid * patchSize;
  if (imageSize === undefined) throw unsaid(path, 'of which size its images were', 'image-size');
  if (!Number.isInteger(grid ?? 1) || imageSize % patchSize !== 0 || imageSize / patchSize > LARGEST_GRID) {
    throw new UserError(`${path} has positions for ${rows} patches`, { expected: 'those of a square image' });
  }
  const known = Object.values(ARCHITECTURES).find((size) => size.dim === dim);
  const heads = given.heads ?? known?.heads;
  if (heads === undefined) throw unsaid(path, 'how many attention heads it has', 'heads');
  if (dim % heads !== 0 || dim % 4 !== 0) {
    throw new UserError(`${heads} heads do not divide the width ${dim} of ${path}`, { remedy: 'use another --heads' });
  }
  const flags = { ...(classToken && { classToken }), ...(layerScale && { layerScale }) };
  return { imageSize, patchSize, encoder: { dim, depth, heads, mlpRatio: ratioOf(hidden, dim), ...flags } };
}

/** The ratio by which `hiddenWidth` gives just that width. */
export function ratioOf(hidden: number, dim: number): number {
  const size: VitSize = { dim, depth: 1, heads: 1, mlpRatio: hidden / dim };
  return hiddenWidth(size) === hidden ? size.mlpRatio : (hidden + 0.5) / dim;
}

function unsaid(path: string, what: string, flag: string): UserError {
  return new UserError(`${path} does not tell ${what}`, {
    expected: 'a file of weights that says all of its sizes',
    remedy: `say it once: ${PROGRAM} convert ${path} --${flag} NUMBER --to hf --out FOLDER`,
  });
}
