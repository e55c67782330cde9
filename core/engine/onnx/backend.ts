import type { BackendValues, DataId, DataType, Tensor, TensorInfo } from '../tf.js';
import { tf } from '../tf.js';
import { reshaped, type Shape, typedArray, Value, valueType } from './graph.js';
import type { Sessions } from './sessions.js';
import { analyse } from './structure.js';

/** What a tensor holds: several tensors may share it. */
interface Holding {
  value: Value;
  references: number;
}

/** A piece of memory in which data can lie. */
export interface Room {
  holds(data: Float32Array): boolean;
  /** Copies data into it. */
  copy(data: Float32Array): Float32Array;
}

const ANYWHERE: Room = { holds: () => true, copy: (data) => data.slice() };

/**
 * The part of TensorFlow.js that owns tensors. Values are recorded by kernels and computed when they are read.
 */
export class OnnxBackend extends tf.KernelBackend {
  readonly #holdings = new tf.DataStorage<Holding>(this, tf.engine());
  /** Values that tensors hold and that are not computed yet, in the order of their recording. */
  readonly #awaited = new Set<Value>();
  /** The computation that is under way; they follow one another. */
  #computing: Promise<void> = Promise.resolve();

  constructor(readonly sessions: Sessions) {
    super();
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return super.epsilon();
  }

  override numDataIds(): number {
    return this.#holdings.numDataIds();
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const id = {};
    this.move(id, values, shape, dtype, 1);
    return id;
  }

  override move(id: DataId, values: BackendValues, shape: number[], dtype: DataType, references: number): void {
    const type = valueType(dtype);
    const data = ArrayBuffer.isView(values) ? (values as Float32Array) : typedArray(type, values as Iterable<number>);
    const value = new Value(shape, type, { data });
    value.holders = 1;
    this.#holdings.set(id, { value, references });
  }

  override refCount(id: DataId): number {
    return this.#holdings.has(id) ? this.#holdings.get(id).references : 0;
  }

  override incRef(id: DataId): void {
    this.#holdings.get(id).references++;
  }

  decRef(id: DataId): void {
    if (this.#holdings.has(id)) this.#holdings.get(id).references--;
  }

  override disposeData(id: DataId, force = false): boolean {
    if (!this.#holdings.has(id)) return true;
    const holding = this.#holdings.get(id);
    holding.references--;
    if (!force && holding.references > 0) return false;
    if (--holding.value.holders === 0) this.#awaited.delete(holding.value);
    this.#holdings.delete(id);
    return true;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override dispose(): void {}

  /** The value of a tensor, in the tensor's shape. */
  valueFor(tensor: TensorInfo): Value {
    return reshaped(this.recorded(tensor), tensor.shape);
  }

  /** The value of a tensor as it was recorded, whatever the tensor's shape. */
  recorded({ dataId }: TensorInfo): Value {
    return this.#holdings.get(dataId).value;
  }

  /**
   * The data of a computed tensor, to be changed in place. Where other tensors share them, a copy is made, in a tensor
   * that takes the place of the given one.
   * @param room where the data are to lie; they are moved there
   */
  ownData(tensor: Tensor, room: Room = ANYWHERE): { tensor: Tensor; data: Float32Array } {
    const { value, references } = this.#holdings.get(tensor.dataId);
    const known = value.known as Float32Array;
    const isOwn = value.data !== null && references === 1 && value.holders === 1;
    if (isOwn && room.holds(known)) return { tensor, data: known };
    const data = room.copy(known);
    if (isOwn) {
      value.data = data;
      return { tensor, data };
    }
    const copy = new Value(tensor.shape, value.type, { data });
    const own = tf.engine().makeTensorFromTensorInfo(this.hold(copy));
    tensor.dispose();
    return { tensor: own, data };
  }

  /** A tensor for a value; the shape may be another one of as many elements. */
  hold(value: Value, shape: Shape = value.shape): TensorInfo {
    const id = {};
    value.holders++;
    if (value.source) value.source.holders++; // it may never be changed in place from now on
    this.#holdings.set(id, { value, references: 1 });
    if (value.node) this.#awaited.add(value);
    return { dataId: id, shape: [...shape], dtype: value.type as DataType };
  }

  /** A tensor that shares another one's data in a shape of its own. */
  share(tensor: TensorInfo, shape: Shape = tensor.shape): TensorInfo {
    this.incRef(tensor.dataId);
    return { dataId: tensor.dataId, shape: [...shape], dtype: tensor.dtype };
  }

  override readSync(id: DataId): BackendValues {
    const { known } = this.#holdings.get(id).value;
    if (!known)
      throw new Error('the engine onnx computes when tensors are read with `await tensor.data()`, not dataSync()');
    return known as Float32Array;
  }

  override async read(id: DataId): Promise<BackendValues> {
    const { value } = this.#holdings.get(id);
    if (!value.known) await this.computeAwaited();
    return value.known as Float32Array;
  }

  /** Computes every value that a tensor holds. */
  async computeAwaited(): Promise<void> {
    await this.inTurn(async () => {
      const outputs = [...this.#awaited];
      this.#awaited.clear();
      await this.#compute(outputs);
    });
  }

  /** Runs one computation after the other. */
  async inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#computing.then(act);
    this.#computing = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #compute(outputs: readonly Value[]): Promise<void> {
    const open = outputs.filter((value) => value.node);
    if (open.length === 0) return;
    const structure = analyse(open);
    const compiled = await this.sessions.compile(structure);
    const feeds = structure.inputs.map((value) => ({
      name: structure.names.get(value) as string,
      type: value.type,
      shape: value.shape,
      data: value.known as Float32Array,
    }));
    const results = await this.sessions.run(compiled, feeds);
    structure.outputs.forEach((value, at) => {
      value.data = results[at] as Float32Array;
      value.node = null;
    });
  }
}
