import { type TensorInfo, tf } from '../../tf.js';
import type { OnnxBackend } from '../backend.js';
import type { Shape, Value } from '../graph.js';

/** Inputs of kernels by TensorFlow.js's names, and by those of `fused.ts`. */
type InputName =
  | ('x' | 'a' | 'b' | 'logits' | 'value' | 'indices' | 'segmentIds' | 'condition' | 't' | 'e')
  | ('dy' | 'weight' | 'mean' | 'inverseStd' | 'weight1' | 'bias1' | 'weight2' | 'bias2' | 'hidden')
  | ('qkv' | 'q' | 'k' | 'v' | 'weights' | 'attended');

/** The values of a kernel's inputs. */
export type Inputs = Readonly<Record<InputName, Value> & { scale?: Value; bias?: Value }>;

/** A kernel: what it records of the values of its inputs, or a tensor. Several outputs where the kernel has several. */
export type Kernel = (
  inputs: Inputs,
  // biome-ignore lint/suspicious/noExplicitAny: every kernel has attributes of its own, which TensorFlow.js does not check
  attributes: any,
  /** The inputs as tensors. */
  tensors: Readonly<Record<string, TensorInfo>>,
  backend: OnnxBackend,
) => Value | Value[] | TensorInfo;

/** Kernels by TensorFlow.js's names. */
export type KernelTable = Readonly<Record<string, Kernel>>;

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
