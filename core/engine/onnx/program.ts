import type { Tensor } from '../tf.js';
import type { Shape, ValueData, ValueType } from './graph.js';
import type { Feed } from './sessions.js';

/** Where an input of a replayed graph comes from: a tensor of the call, or data that never change. */
export type Source = { argument: number } | { data: ValueData };

/** An input of a replayed graph. */
export interface ProgramInput {
  name: string;
  type: ValueType;
  shape: Shape;
  source: Source;
}

/** A function's graph for tensors of certain shapes. */
export interface Program<Ready> {
  /** What has been prepared for running the graph. */
  ready: Ready;
  inputs: readonly ProgramInput[];
  outputs: { shape: Shape; type: ValueType }[];
  /** What each tensor of the result is: an output of the graph, an argument, or data that never change. */
  results: { shape: Shape; type: ValueType; from: { output: number } | Source }[];
  /** Builds the result from its tensors. */
  assemble(tensors: readonly Tensor[]): unknown;
}

/** What a program is called with: the data of its arguments. */
export interface ProgramCall<Ready> {
  program: Program<Ready>;
  data: readonly ValueData[];
}

/** What goes into a graph, where `data` are those of the arguments. */
export function feedsOf(inputs: readonly ProgramInput[], data: readonly ValueData[]): Feed[] {
  return inputs.map(({ source, ...slot }) => ({ ...slot, data: dataOf(source, data) }));
}

/** The data of an input, where `given` are those of the arguments. */
export function dataOf(source: Source, given: readonly ValueData[]): ValueData {
  return 'data' in source ? source.data : (given[source.argument] as ValueData);
}
