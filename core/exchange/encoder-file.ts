import { UserError } from '../base/errors.js';
import type { StoredTensor } from '../checkpoint/safetensors.js';
import { shapesOfEncoder } from '../nn/image-encoder.js';
import { sincosTable } from '../nn/positions.js';
import { type EncoderSize, gridSize, type ImageShape, isResNet, type VitSize } from '../nn/sizes.js';

/** Where a network's weights come from. */
export interface NetworkFacts {
  weights: 'pretrained' | 'random';
  /** The title of the method that trained it: 'MAE'; null where that is not known. */
  method: string | null;
  /** The name of the encoder in its file: 'target'; null for random weights. */
  encoder: string | null;
  /** Whether that is the one by which the method is judged. */
  isUsualEncoder: boolean;
  epochs: number | null;
  pretrainedOn: string | null;
  checkpoint: string | null;
}

/** Weights by name. */
export type EncoderTensors = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

/** An encoder's sizes with those of the images that it was trained on, its weights, and where they come from. */
export interface EncoderFile<Size extends EncoderSize = VitSize> {
  size: ImageShape & { encoder: Size };
  /** By the reference code's names, without a prefix. */
  tensors: EncoderTensors;
  /** Positions that are added to patches, [N, D]; null where they are the sine-cosine ones, or relative. */
  positions: Float32Array | null;
  facts: NetworkFacts;
  /** The names of all encoders that the file holds, the usual one first. */
  names: readonly string[];
  /** What a user should know of how the file was understood. */
  notes: readonly string[];
}

/** The reference code's name of its positions, which do not learn. */
export const POSITIONS = 'pos_embed';

/** How a file calls what belongs to an encoder. */
export interface Naming {
  /** The names of the tensors that, one below the other, are a parameter. */
  of(parameter: string): readonly string[];
  /** Tensors that belong to something else: a head, a decoder. */
  ignored?(name: string): boolean;
  /** What says which sizes they have: 'its metadata'. */
  source: string;
}

/** What a user says of a file that it does not say itself. */
export interface Given {
  heads?: number;
  imageSize?: number;
}

/** What holds a residual network or a vision transformer. */
export type AnyEncoderFile = EncoderFile<EncoderSize>;

type Size = AnyEncoderFile['size'];

/**
 * Takes an encoder's parameters and positions out of a file's tensors, and those out of the map: a large model is held once.
 * @throws UserError if one is missing, has another shape, or has no place
 */
export function takeEncoder(path: string, stored: Map<string, StoredTensor>, size: Size, naming: Naming) {
  const otherArchitecture = (difference: string) =>
    new UserError(`${path} is of another architecture than ${naming.source} says: ${difference}`, {
      expected: 'the weights of one encoder, and its sizes',
      remedy: 'use another copy of the model, or one from its source',
    });
  if (stored.size === 0) throw otherArchitecture(`there is no tensor such as ${naming.of('norm.weight')[0]}`);
  // Before anything is made for each block that is claimed.
  const blocks = blockCount(size.encoder);
  if (blocks > stored.size) throw otherArchitecture(`${stored.size} tensors make no ${blocks} blocks`);
  const take = (name: string, shape: readonly number[]) => {
    const found = stored.get(name);
    if (!(found?.data instanceof Float32Array) || found.shape.join() !== shape.join()) {
      const other = found?.data instanceof Float32Array ? `[${found.shape}]` : 'not of floating-point numbers';
      throw otherArchitecture(`the tensor ${name} is ${found ? other : 'not there'} instead of [${shape}]`);
    }
    stored.delete(name);
    return found.data;
  };
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [parameter, shape] of Object.entries(shapesOfEncoder(size))) {
    const names = naming.of(parameter);
    const part = [shape[0] / names.length, ...shape.slice(1)];
    const parts = names.map((name) => take(name, part));
    tensors.set(parameter, { shape, data: parts.length === 1 ? parts[0] : joined(parts) });
  }
  const [positionsName] = naming.of(POSITIONS);
  const { encoder } = size;
  const positionsOf = (vit: VitSize) => {
    if (!stored.has(positionsName)) return null;
    const tokens = gridSize(size) ** 2 + (vit.classToken ? 1 : 0);
    return placePositions(take(positionsName, [1, tokens, vit.dim]), tensors, size, vit);
  };
  const positions = isResNet(encoder) ? null : positionsOf(encoder);
  const extra = [...stored.keys()].find((name) => !naming.ignored?.(name));
  if (extra !== undefined) throw otherArchitecture(`there is no place for the tensor ${extra}`);
  return { tensors, positions };
}

function blockCount(encoder: EncoderSize): number {
  return isResNet(encoder) ? encoder.depths.reduce((sum, depth) => sum + depth, 0) : encoder.depth;
}

/** Positions of patches where they are not the sine-cosine ones; that of the class token becomes a part of it. */
function placePositions(
  table: Float32Array,
  tensors: EncoderTensors,
  size: ImageShape,
  { dim, classToken = false }: VitSize,
): Float32Array | null {
  const token = tensors.get('cls_token')?.data;
  token?.set(token.map((x, i) => x + table[i]));
  const patches = classToken ? table.subarray(dim) : table;
  const fixed = sincosTable(gridSize(size), dim);
  return fixed.every((x, i) => Math.abs(x - patches[i]) < 1e-4) ? null : patches;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
