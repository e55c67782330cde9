import type { Shape, ValueData, ValueType } from './graph.js';

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
  inputs: readonly { name: string; type: ValueType; shape: Shape; from: LaneSource }[];
}

/** Where an input comes from: the memory that travels with the jobs, an array of the job, or data that never change. */
export type LaneSource = { place: Place } | { own: number } | { data: ValueData };

/** An array of floats in a lane's memory, in bytes and in numbers. */
export interface Place {
  offset: number;
  length: number;
}

/** One run of a program. `memory` holds what all parts of a batch share; it is moved there and back. */
export interface LaneJob {
  kind: 'job';
  program: number;
  memory: ArrayBuffer;
  own: readonly ValueData[];
}

/** A program that is not needed any more. */
export interface LaneForget {
  kind: 'forget';
  program: number;
}

export type LaneAnswer = { memory: ArrayBuffer } & ({ outputs: ValueData[] } | { reason: string });
