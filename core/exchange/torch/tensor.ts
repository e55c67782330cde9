import type { Place, TorchSource } from './source.js';
import { countOf, rowStrides, type StorageKind, type TorchTensor } from './tree.js';

/** The values of one or several tensors. */
export interface Storage {
  readonly key: string;
  readonly kind: StorageKind;
  /** Number of values. */
  readonly count: number;
}

/** Where the storages of a file lie, by their keys; known once its description was read. */
export type Places = ReadonlyMap<string, Place>;

/** PyTorch's own limit. */
const MOST_AXES = 64;

/** A tensor in a file: values of a storage, from an offset on, with a step along each axis. */
export class FileTensor implements TorchTensor {
  readonly shape: readonly number[];
  readonly type: TorchTensor['type'];
  readonly #strides: readonly number[];

  /** @throws Error if values would lie outside of the storage */
  constructor(
    private readonly source: TorchSource,
    private readonly places: Places,
    private readonly storage: Storage,
    private readonly offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.shape = sizes(shape);
    this.#strides = sizes(strides);
    this.type = storage.kind.type;
    if (shape.length !== strides.length || shape.length > MOST_AXES) {
      throw new Error(`a tensor of ${shape.length} axes has ${strides.length} strides`);
    }
    const [first] = sizes([offset]);
    const last = this.shape.reduce((sum, side, axis) => sum + (side - 1) * this.#strides[axis], first);
    const end = shape.includes(0) ? first : last + 1;
    if (!(end <= storage.count)) {
      throw new Error(`a tensor of shape [${this.shape}] would end at value ${end} of ${storage.count}`);
    }
    Object.freeze(this); // a pickle can name attributes, which the parser would set
  }

  async read() {
    const { source, storage, shape } = this;
    const usual = rowStrides(shape);
    const isAsUsual = shape.every((side, axis) => side <= 1 || this.#strides[axis] === usual[axis]);
    if (!isAsUsual && !shape.includes(0)) {
      throw source.unreadable(`a tensor of shape [${shape}] has strides [${this.#strides}]: save it as x.contiguous()`);
    }
    const { bytes, values } = storage.kind;
    const place = this.places.get(storage.key);
    if (place === undefined) throw new Error(`nothing says where the storage ${storage.key} lies`);
    return values(await source.read(place, this.offset * bytes, countOf(shape) * bytes));
  }
}

/** A copy of what has to be whole numbers from 0 on. */
function sizes(values: readonly unknown[]): readonly number[] {
  return Array.from(values, (value) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error(`a size is ${value}`);
    return value;
  });
}
