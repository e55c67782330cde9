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

/** What goes into a graph, where `data` are those of the arguments. */
export function feedsOf(inputs: readonly ProgramInput[], data: readonly ValueData[]): Feed[] {
  return inputs.map(({ source, ...input }) => ({ ...input, data: dataOf(source, data) }));
}

/** The data of an input, where `given` are those of the arguments. */
export function dataOf(source: Source, given: readonly ValueData[]): ValueData {
  return 'data' in source ? source.data : (given[source.argument] as ValueData);
}

/** What is sent to a worker's thread (`worker-thread.ts`). Graphs and programs have numbers. */
export type WorkerMessage =
  /** A graph, to be compiled at once. */
  | { kind: 'graph'; graph: number; model: Uint8Array; outputNames: readonly string[] }
  /** A graph with where its inputs come from. */
  | { kind: 'program'; program: number; graph: number; inputs: readonly ProgramInput[] }
  /** A program that is not needed any more. */
  | { kind: 'forget'; program: number }
  | WorkerRun;

/**
 * One run of a program. Its first arguments are what all parts of a batch share: floats that lie at `arrays` in `memory`,
 * which is moved there and back. The others are the part's own.
 */
export interface WorkerRun {
  kind: 'run';
  program: number;
  memory: ArrayBuffer;
  arrays: readonly ArrayLocation[];
  own: readonly ValueData[];
}

/** Where an array of floats begins in a worker's memory, in bytes, and how many numbers it has. */
export interface ArrayLocation {
  offset: number;
  length: number;
}

export type WorkerAnswer = { memory: ArrayBuffer } & ({ outputs: ValueData[] } | { reason: string });
