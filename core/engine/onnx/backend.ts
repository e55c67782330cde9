import { type BackendValues, type DataId, type DataType, type Tensor, type TensorInfo, tf } from '../tf.js';
import { type Shape, typedArray, Value, type ValueData, valueType } from './graph.js';
import { inputsOf, type Sessions } from './sessions.js';
import { analyse } from './structure.js';

/** Memory in which data may lie, and into which they are copied. */
type Arena = { owns(data: Float32Array): boolean; copy(data: Float32Array): Float32Array };

/** Inputs of kernels by TensorFlow.js's names, and by those of `fused.ts`. */
type InputName =
  | ('x' | 'a' | 'b' | 'logits' | 'value' | 'indices' | 'segmentIds' | 'condition' | 't' | 'e')
  | ('dy' | 'weight' | 'mean' | 'inverseStd' | 'weight1' | 'bias1' | 'weight2' | 'bias2' | 'hidden')
  | ('qkv' | 'q' | 'k' | 'v' | 'weights' | 'attended');

export type Inputs = Readonly<Record<InputName, Value> & { scale?: Value; bias?: Value }>;

/** A kernel: what it records of the values of its inputs, or a tensor. Several outputs where the kernel has several. */
export type Kernel = (
  inputs: Inputs,
  // biome-ignore lint/suspicious/noExplicitAny: every kernel has attributes of its own, which TensorFlow.js does not check
  attributes: any,
  tensors: Readonly<Record<string, TensorInfo>>,
  backend: OnnxBackend,
) => Value | Value[] | TensorInfo;

export type KernelTable = Readonly<Record<string, Kernel>>;

/**
 * The part of TensorFlow.js that owns tensors. Values are recorded by kernels and computed when they are read.
 */
export class OnnxBackend extends tf.KernelBackend {
  /** The value of a tensor's data id, and how many tensors share the id. */
  readonly #entries = new tf.DataStorage<{ value: Value; references: number }>(this, tf.engine());
  /** Values of tensors that are not computed yet, in the order of their recording. */
  readonly #awaited = new Set<Value>();
  /** The computation that is under way; they follow one another. */
  #computing: Promise<void> = Promise.resolve();

  constructor(readonly sessions: Sessions) {
    super();
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override numDataIds(): number {
    return this.#entries.numDataIds();
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
    value.users = 1;
    this.#entries.set(id, { value, references });
  }

  override refCount(id: DataId): number {
    return this.#entries.has(id) ? this.#entries.get(id).references : 0;
  }

  override incRef(id: DataId): void {
    this.#entries.get(id).references++;
  }

  override disposeData(id: DataId, force = false): boolean {
    if (!this.#entries.has(id)) return true;
    const entry = this.#entries.get(id);
    entry.references--;
    if (!force && entry.references > 0) return false;
    const { value } = entry;
    if (--value.users === 0) {
      this.#awaited.delete(value);
      value.pool?.give(value.data);
    }
    this.#entries.delete(id);
    return true;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override dispose(): void {}

  /** The value of a tensor as it was recorded, whatever the tensor's shape. */
  recorded({ dataId }: TensorInfo): Value {
    return this.#entries.get(dataId).value;
  }

  /** The value of a tensor that becomes an input of a node, which may outlive the tensor. */
  use(tensor: TensorInfo): Value {
    const value = this.recorded(tensor);
    value.pool = null;
    return value;
  }

  /**
   * The data of a computed tensor, to be changed in place. Where other tensors share them, a copy is made, in a tensor
   * that takes the place of the given one.
   * @param arena in which the data are to lie, where that matters; they are moved there
   */
  ownData(tensor: Tensor, arena?: Arena): { tensor: Tensor; data: Float32Array } {
    const { value, references } = this.#entries.get(tensor.dataId);
    const shared = value.data as Float32Array;
    const isOwn = value.source === null && references === 1 && value.users === 1;
    if (isOwn && (!arena || arena.owns(shared))) return { tensor, data: shared };
    const data = arena ? arena.copy(shared) : shared.slice();
    if (isOwn) {
      value.data = data;
      value.pool = null;
      return { tensor, data };
    }
    const own = this.makeTensor(new Value(tensor.shape, value.type, { data }));
    tensor.dispose();
    return { tensor: own, data };
  }

  /** A tensor for a value; the shape may be another one of as many elements. */
  makeTensor(value: Value, shape: Shape = value.shape): Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.register(value, shape));
  }

  /** The same for a kernel, whose results TensorFlow.js makes tensors of. */
  register(value: Value, shape: Shape = value.shape): TensorInfo {
    const id = {};
    value.users++;
    if (value.source) value.source.users++; // it may never be changed in place from now on
    this.#entries.set(id, { value, references: 1 });
    if (value.node) this.#awaited.add(value);
    return { dataId: id, shape: [...shape], dtype: value.type as DataType };
  }

  /** A tensor that shares another one's data in a shape of its own. */
  share(tensor: TensorInfo, shape: Shape = tensor.shape): TensorInfo {
    this.incRef(tensor.dataId);
    return { dataId: tensor.dataId, shape: [...shape], dtype: tensor.dtype };
  }

  override readSync(id: DataId): BackendValues {
    const { value } = this.#entries.get(id);
    if (!value.data)
      throw new Error('the engine onnx computes when tensors are read with `await tensor.data()`, not dataSync()');
    value.pool = null;
    return value.data as Float32Array;
  }

  override async read(id: DataId): Promise<BackendValues> {
    this.#entries.get(id).value.pool = null;
    return this.peek({ dataId: id });
  }

  /** The data of a tensor of floats, which are the tensor's and may not be kept. */
  async peek({ dataId }: Pick<TensorInfo, 'dataId'>): Promise<Float32Array> {
    const { value } = this.#entries.get(dataId);
    if (!value.data) await this.computeAwaited();
    return value.data as Float32Array;
  }

  /** Computes every value that a tensor has. */
  async computeAwaited(): Promise<void> {
    await this.inTurn(async () => {
      const outputs = [...this.#awaited].filter((value) => value.node);
      this.#awaited.clear();
      if (outputs.length === 0) return;
      const structure = analyse(outputs);
      const compiled = await this.sessions.compile(structure);
      const inputs = inputsOf(structure, (_, argument) => ({ argument }));
      const given = structure.inputs.map(({ data }) => data as ValueData);
      const results = await this.sessions.run(compiled, inputs, given);
      for (const [at, value] of outputs.entries()) {
        value.data = results[at];
        value.node = null;
      }
    });
  }

  /** Runs one computation after the other. */
  async inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#computing.then(act);
    const ended = () => {};
    this.#computing = result.then(ended, ended);
    return result;
  }
}
