import { fromBfloat16, fromFloat16 } from '../../base/half.js';
import type { StoredTensor } from '../../checkpoint/safetensors.js';

/** What PyTorch saves: dictionaries, lists (tuples are read as such), numbers, text, and tensors. */
export type TorchTree = null | boolean | number | string | TorchTensor | readonly TorchTree[] | TorchDictionary;
export type TorchDictionary = ReadonlyMap<string | number, TorchTree>;

/** A tensor whose values are read when they are asked for. */
export interface TorchTensor {
  readonly shape: readonly number[];
  /** That of the values that are read. */
  readonly type: ElementType;
  /**
   * Its values, row by row.
   * @throws UserError if the file has changed or is damaged, or they do not lie one after the other
   */
  read(): Promise<StoredTensor['data']>;
}

export function isTensor(tree: TorchTree | undefined): tree is TorchTensor {
  return tree instanceof Object && 'read' in tree;
}

export function isList(tree: TorchTree | undefined): tree is readonly TorchTree[] {
  return Array.isArray(tree);
}

export function isDictionary(tree: TorchTree | undefined): tree is TorchDictionary {
  return tree instanceof Map;
}

/** Numbers of this program as a tensor. */
export function tensorOf(shape: readonly number[], data: Float32Array): TorchTensor {
  return { shape, type: 'float32', read: async () => data };
}

export type ElementType = 'float32' | 'float64' | 'int64' | 'int32' | 'uint8' | 'bool';

/** How the values of a storage lie in a file. */
export interface StorageKind {
  readonly type: ElementType;
  /** Bytes of a value. */
  readonly bytes: number;
  values(bytes: ArrayBuffer): StoredTensor['data'];
}

/** PyTorch's storages by their names in a file. The first one of a type is that which is written. */
export const STORAGES: ReadonlyMap<string, StorageKind> = new Map<string, StorageKind>([
  ['FloatStorage', { type: 'float32', bytes: 4, values: (bytes) => new Float32Array(bytes) }],
  ['HalfStorage', { type: 'float32', bytes: 2, values: (bytes) => fromFloat16(new Uint16Array(bytes)) }],
  ['BFloat16Storage', { type: 'float32', bytes: 2, values: (bytes) => fromBfloat16(new Uint16Array(bytes)) }],
  ['DoubleStorage', { type: 'float64', bytes: 8, values: (bytes) => new Float64Array(bytes) }],
  ['LongStorage', { type: 'int64', bytes: 8, values: (bytes) => new BigInt64Array(bytes) }],
  ['IntStorage', { type: 'int32', bytes: 4, values: (bytes) => new Int32Array(bytes) }],
  ['ByteStorage', { type: 'uint8', bytes: 1, values: (bytes) => new Uint8Array(bytes) }],
  ['BoolStorage', { type: 'bool', bytes: 1, values: (bytes) => new Uint8Array(bytes) }],
]);

/** Number of values of a shape. */
export function countOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, side) => product * side, 1);
}

/** Steps from one value to the next along each axis where all of them lie one after the other, row by row. */
export function rowStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, 1));
}
