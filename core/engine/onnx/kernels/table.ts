import { type TensorInfo, tf } from '../../tf.js';
import type { OnnxBackend } from '../backend.js';
import type { Shape, Value } from '../graph.js';

/** What a kernel is given: the values of its inputs by TensorFlow.js's names, and its attributes. */
export interface Call<Attributes = Record<string, unknown>> {
  backend: OnnxBackend;
  tensors: Readonly<Record<string, TensorInfo>>;
  attributes: Attributes;
  /** The value of an input. */
  value(name: string): Value;
  /** The values of several inputs, by their names. */
  values<Name extends string>(...names: Name[]): Record<Name, Value>;
  /** The value of an input that may be left out. */
  optional(name: string): Value | null;
}

/** A kernel: what it records. Several outputs where the kernel has several. */
// biome-ignore lint/suspicious/noExplicitAny: every kernel has attributes of its own, which TensorFlow.js does not check
export type Kernel = (call: Call<any>) => Value | Value[] | TensorInfo;

/** Kernels by TensorFlow.js's names. */
export type KernelTable = Readonly<Record<string, Kernel>>;

/** Registers kernels with TensorFlow.js under the name of a backend. */
export function registerKernels(backendName: string, table: KernelTable): void {
  for (const [kernelName, kernel] of Object.entries(table)) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend: owner }) => {
        const backend = owner as OnnxBackend;
        const tensors = inputs as unknown as Record<string, TensorInfo>;
        const optional = (name: string) => (tensors[name] ? backend.valueFor(tensors[name]) : null);
        const value = (name: string) => backend.valueFor(tensors[name] as TensorInfo);
        const values = <Name extends string>(...names: Name[]) =>
          Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Name, Value>;
        const result = kernel({ backend, tensors, attributes: attrs ?? {}, value, values, optional });
        if (Array.isArray(result)) return result.map((one) => backend.register(one));
        return 'dataId' in result ? result : backend.register(result);
      },
    });
  }
}

/** The axes of an attribute: one, several, or all where none is given; negative ones count from the end. */
export function axesOf(axis: number | number[] | null | undefined, shape: Shape): number[] {
  return tf.util.parseAxisParam(axis as number, [...shape]);
}

/** One axis, negative ones counted from the end. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** The shape of two broadcast together. */
export function broadcast(a: Shape, b: Shape): Shape {
  return tf.backend_util.assertAndGetBroadcastShape([...a], [...b]);
}
