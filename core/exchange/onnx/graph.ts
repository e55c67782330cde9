import { toFloat16 } from '../../base/half.js';
import { type Attributes, attributeMessages, ELEMENT_TYPES } from '../../engine/onnx/model-format.js';

/** What the tensors of an exported model can hold. */
export type ModelType = 'float32' | 'float16' | 'int8' | 'uint8' | 'int64';

/** Bytes of an element. */
const ELEMENT_BYTES: Readonly<Record<ModelType, number>> = { float32: 4, float16: 2, int8: 1, uint8: 1, int64: 8 };

/** A weight of a model. Its data are made when they are written, so that those of one tensor at a time are in memory. */
export interface ModelWeight {
  readonly name: string;
  readonly type: ModelType;
  readonly shape: readonly number[];
  readonly data: () => ArrayBufferView;
}

/** An input or output: its name, and the sides of its shape, numbers or names. They are float32. */
export interface ModelPort {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

/** An ONNX graph in the making. Its values are known by their names. */
export class ModelGraph {
  /** Messages of the file format: nodes in the order in which they run, and small constants. */
  readonly nodes: object[] = [];
  readonly constants: object[] = [];
  readonly weights: ModelWeight[] = [];
  /** Names of constants. */
  readonly #known = new Set<string>();

  /** Appends a node with one output; returns the output's name, which is made up where none is given. */
  add(operator: string, inputs: readonly string[], attributes: Attributes = {}, output?: string): string {
    return this.addAll(operator, inputs, attributes, [output ?? `${operator}_${this.nodes.length}`])[0];
  }

  /** The same for several outputs of these names. */
  addAll(operator: string, inputs: readonly string[], attributes: Attributes, outputs: string[]): string[] {
    const name = `${operator}_${this.nodes.length}`;
    const attribute = attributeMessages(attributes);
    this.nodes.push({ input: inputs, output: outputs, name, op_type: operator, attribute });
    return outputs;
  }

  addWeight(weight: ModelWeight): string {
    this.weights.push(weight);
    return weight.name;
  }

  /** A vector of whole numbers, as shapes are. */
  whole(numbers: readonly number[]): string {
    return this.#constant('int64', BigInt64Array.from(numbers, BigInt), [numbers.length], numbers);
  }

  /** A single number. */
  number(value: number, type: 'float32' | 'float16' | 'uint8'): string {
    if (type === 'uint8') return this.#constant(type, Uint8Array.of(value), [], [value]);
    const data = Float32Array.of(value);
    return this.#constant(type, type === 'float16' ? toFloat16(data) : data, [], [value]);
  }

  #constant(type: ModelType, { buffer }: ArrayBufferView, dims: readonly number[], numbers: readonly number[]): string {
    const name = `${type}_${numbers.join('_')}`;
    if (!this.#known.has(name)) {
      this.constants.push({ name, dims, data_type: ELEMENT_TYPES[type], raw_data: new Uint8Array(buffer) });
    }
    this.#known.add(name);
    return name;
  }
}

/** Bytes that a weight takes. */
export function bytesOf({ type, shape }: ModelWeight): number {
  return shape.reduce((product, side) => product * side, ELEMENT_BYTES[type]);
}
