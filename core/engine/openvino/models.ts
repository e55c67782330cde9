import { z } from 'zod';
import { type Shape, sizeOf, typedArray, type ValueData, type ValueType } from '../onnx/graph.js';
import type { ArrayPool } from '../onnx/pool.js';
import { dataOf, type GraphInput, type GraphOutput } from '../onnx/sessions.js';
import { encodeModel, type FixedInput, type Structure } from '../onnx/structure.js';
import type { CompiledModel, InferRequest, OpenVino, Properties } from './library.js';

/**
 * What an input that varied has been in all programs so far: sides (null: any), and whole numbers (-1: any) or null, where
 * there is no one list of them; without them, its data never varied.
 */
export const variedSchema = z.object({
  shape: z.array(z.int().nullable()),
  constant: z.array(z.int()).nullable().optional(),
});
type Varied = z.infer<typeof variedSchema>;

/** Bytes of the largest array that becomes part of a model; others are read where they lie. */
const MAX_CONSTANT = 2 ** 22;

/**
 * A graph compiled for the shapes that it has had so far: what never varied is part of the model, which makes it faster; a
 * dimension or a list of whole numbers that varies becomes dynamic, and the model is compiled once more when it does so for
 * the first time.
 */
export class Model {
  /** What the first program has. */
  readonly #first: readonly FixedInput[];
  /** What all programs have in common. */
  #known: readonly FixedInput[];
  /** Which inputs are shapes of reshapings and nothing else. */
  readonly #shapes: ReadonlySet<number>;
  #compiled: Promise<Compiled> | null = null;

  constructor(
    private readonly openvino: OpenVino,
    private readonly structure: Structure,
    inputs: readonly GraphInput[],
    private readonly properties: Properties,
    varied: Readonly<Record<number, Varied>> = {},
  ) {
    this.#shapes = shapesOf(structure);
    this.#first = inputs.map(({ shape, source }) => {
      const constant = 'data' in source && source.data.byteLength <= MAX_CONSTANT ? source.data : null;
      return { shape, constant };
    });
    this.#known = this.#first.map((first, at) => {
      if (!varied[at]) return first;
      const { shape, constant = first.constant } = varied[at];
      return { shape, constant: Array.isArray(constant) ? typedArray('int64', constant) : constant };
    });
    this.widen(inputs);
  }

  /** What varied, by the inputs' numbers; null where nothing did. A model that is made with it is compiled in the same way. */
  varied(): Record<number, Varied> | null {
    const varied: Record<number, Varied> = {};
    for (const [at, known] of this.#known.entries()) {
      const first = this.#first[at];
      if (known === first) continue;
      const { shape, constant } = known;
      const listed = constant && Array.from(constant, Number);
      varied[at] = { shape: [...shape], ...(constant !== first.constant && { constant: listed }) };
    }
    return Object.keys(varied).length > 0 ? varied : null;
  }

  /** Takes up what inputs are in another program with this structure. No run may be under way. */
  widen(inputs: readonly GraphInput[]): void {
    const widened = this.#known.map((known, at) => widen(known, inputs[at], this.#shapes.has(at)));
    if (widened.every((known, at) => known === this.#known[at])) return;
    this.#known = widened;
    this.free();
  }

  /** Frees what is compiled; a later run compiles it again. No run may be under way. */
  free(): void {
    this.#compiled?.then(freeCompiled, () => {});
    this.#compiled = null;
  }

  /**
   * Runs it; gives the data of the outputs.
   * @param given data of its arguments
   * @param pool where outputs come from
   */
  async run(
    inputs: readonly GraphInput[],
    outputs: readonly GraphOutput[],
    given: readonly ValueData[],
    pool: ArrayPool,
  ): Promise<ValueData[]> {
    this.#compiled ??= this.#build();
    const { request, fed } = await this.#compiled;
    for (const [index, at] of fed.entries()) {
      const { shape, type, source } = inputs[at];
      request.bindInput(index, { shape, type, data: dataOf(source, given) });
    }
    const results = outputs.map(({ shape, type }) => ({ shape, type, data: outputArray(pool, shape, type) }));
    for (const [index, result] of results.entries()) request.bindOutput(index, result);
    await request.infer();
    return results.map(({ data }) => data);
  }

  async #build(): Promise<Compiled> {
    const known = this.#known;
    const model = await this.openvino.compile(encodeModel(this.structure, known), this.properties);
    const fed = [...known.keys()].filter((at) => known[at].constant === null);
    return { model, request: model.createRequest(), fed };
  }
}

type Compiled = {
  model: CompiledModel;
  request: InferRequest;
  /** Which of the graph's inputs are given with each run, in the model's order. */
  fed: readonly number[];
};

function freeCompiled({ model, request }: Compiled): void {
  request.free();
  model.free();
}

function outputArray(pool: ArrayPool, shape: Shape, type: ValueType): ValueData {
  return type === 'float32' ? pool.take(sizeOf(shape)) : typedArray(type, Array(sizeOf(shape)).fill(0));
}

function shapesOf({ nodes, inputs }: Structure): Set<number> {
  const uses = nodes.flatMap(({ operator, inputs: from }) =>
    from.map((value, at) => ({ value, isShape: operator === 'Reshape' && at === 1 })),
  );
  const others = new Set(uses.filter(({ isShape }) => !isShape).map(({ value }) => value));
  return new Set([...inputs.keys()].filter((at) => !others.has(inputs[at])));
}

/**
 * What an input has been, with one more program.
 * @param isShape whether it is the shape of a reshaping, one side of which may be left to the others (-1)
 * @returns `known` itself where nothing is new
 */
function widen(known: FixedInput, { shape, source }: GraphInput, isShape: boolean): FixedInput {
  const constant = known.constant && 'data' in source ? common(known.constant, source.data, isShape) : null;
  const isSameShape = known.shape.every((side, axis) => side === null || side === shape[axis]);
  if (isSameShape && constant === known.constant) return known;
  return { constant, shape: known.shape.map((side, axis) => (side === shape[axis] ? side : null)) };
}

/** `a` where `b` is the same; with -1 for a side that is not; null where nothing stands for both. */
function common(a: ValueData, b: ValueData, isShape: boolean): ValueData | null {
  if (a === b) return a;
  if (a.length !== b.length) return null;
  const others = [...a.keys()].filter((at) => a[at] !== b[at] && a[at] !== -1n);
  if (others.length === 0) return a;
  if (!isShape || others.length > 1 || a.some((side) => side === -1n)) return null;
  return (a as BigInt64Array).with(others[0] as number, -1n);
}
