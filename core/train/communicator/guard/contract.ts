import { writeSync } from 'node:fs';
import { isSystemError, printable, UserError } from '../../../base/errors.js';
import { PROGRAM } from '../../../base/program.js';

/** What a rank may be doing, in the words of messages: 'rank 3 on node7 has been reading images for 300 s'. */
export const PHASES = ['starting', 'reading images', 'computing', 'evaluating', 'saving', 'waiting'] as const;
export type Phase = (typeof PHASES)[number];

/** A process of the run, by rank. */
export type Peer = { host: string; pid: number };

/** Where rank 0 listens, and the secret by which it knows its own ranks. */
export type Door = { addresses: readonly string[]; port: number; token: string };

/** What the thread of a rank is started with. */
export interface GuardJob {
  rank: number;
  peers: readonly Peer[];
  /** Of rank 0; null on rank 0, which makes it. */
  door: Door | null;
  /** The number of the phase, and how often one was told: what the main thread writes and the thread sends. */
  board: Int32Array<SharedArrayBuffer>;
  silence: number;
  patience: number;
}

/** What the main thread asks of its thread. */
export type Request = { ask: 'start' | 'close' } | { ask: 'fail'; report: string };

/** What the thread tells its main thread: the door where the channel is open; why the run ends; that all is closed. */
export type Answer = { tell: 'opened'; door: Door | null } | { tell: 'lost'; report: string } | { tell: 'closed' };

/** One end of the channel. */
export interface Channel {
  readonly door: Door;
  /** From here on, a rank that is not heard is lost. */
  start(): void;
  /** Ends all ranks, with a message by rank 0. */
  fail(report: string): void;
  /** From here on, nothing that ends is lost. */
  close(): Promise<void>;
}

/** Ends this rank, once all is said. */
export type End = (report: string) => void;

const MAX_REPORT = 20_000;
const RETRIES = 100;
const RETRY_MS = 10;
const REMEDY = 'start again, pretraining with --resume: it goes on from what is kept, its last checkpoint or features';

/** 'rank 3 on node7' */
export function nameOf(rank: number, peers: readonly Peer[]): string {
  return `rank ${rank} on ${peers[rank]?.host}`;
}

/** The whole message that a run in ranks has ended. */
export function lossReport(problem: string): string {
  return new UserError(problem, { remedy: REMEDY }).report;
}

/** The whole message of a process that has ended without a word. */
export function deathReport(rank: number, peers: readonly Peer[]): string {
  return lossReport(`${nameOf(rank, peers)} (process ${peers[rank]?.pid}) has ended: it was killed, or it crashed`);
}

/** The whole message of a rank that is not heard for so many seconds. */
export function silenceReport(rank: number, peers: readonly Peer[], seconds: number): string {
  const problem = `nothing has been heard of ${nameOf(rank, peers)} for ${seconds} s`;
  return lossReport(`${problem}: it hangs, or its host cannot be reached`);
}

/** The whole message of a rank that cannot go on, from its own. */
export function failureReport(rank: number, peers: readonly Peer[], report: string): string {
  const lines = report.slice(0, MAX_REPORT).split('\n');
  return `${nameOf(rank, peers)}: ${lines.map((line) => printable(line)).join('\n')}`;
}

/** Writes to standard error at once, from any thread. */
export function say(text: string): void {
  let rest = Buffer.from(`${PROGRAM}: ${text}\n`);
  for (let attempt = 0; attempt < RETRIES && rest.length > 0; attempt++) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if (!isSystemError(error, 'EAGAIN')) return; // nobody reads it
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
