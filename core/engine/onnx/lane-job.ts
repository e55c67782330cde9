import type { ValueData } from './graph.js';
import type { ProgramInput } from './program.js';

/** What is sent to a lane's thread (`lane-thread.ts`), and what it answers. */
export type LaneMessage = LaneGraph | LaneProgram | LaneJob | LaneForget;

/** A graph to be compiled, which programs name by its number. */
export interface LaneGraph {
  kind: 'graph';
  graph: number;
  model: Uint8Array;
  outputNames: readonly string[];
}

/** A graph with where its inputs come from, which jobs name by its number. */
export interface LaneProgram {
  kind: 'program';
  program: number;
  graph: number;
  inputs: readonly ProgramInput[];
}

/** An array of floats in a lane's memory, in bytes and in numbers. */
export interface Place {
  offset: number;
  length: number;
}

/**
 * One run of a program. Its first arguments are what all parts of a batch share: they lie at `places` in `memory`, which
 * is moved there and back. The others are the part's own.
 */
export interface LaneJob {
  kind: 'job';
  program: number;
  memory: ArrayBuffer;
  places: readonly Place[];
  own: readonly ValueData[];
}

/** A program that is not needed any more. */
export interface LaneForget {
  kind: 'forget';
  program: number;
}

export type LaneAnswer = { memory: ArrayBuffer } & ({ outputs: ValueData[] } | { reason: string });
