import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  type Answer,
  type Door,
  failureReport,
  type GuardJob,
  nameOf,
  type Peer,
  PHASES,
  type Phase,
  type Request,
  say,
} from './guard/contract.js';

export type { Phase } from './guard/contract.js';

/** Watches, beside MPI, over the ranks of a run: one that dies, hangs, cannot be reached or fails ends all of them. */
export interface Guard {
  /** Says what this rank does now, and that it gets on: each call is a sign of progress, and costs next to nothing. */
  phase(name: Phase): void;
  /** Rejects with a `RankLost` when a rank is lost or has failed; never resolves. The process ends 3 s later. */
  readonly lost: Promise<never>;
  /**
   * Ends all ranks since this one cannot go on; rank 0 prints the report, once, with the rank and its host.
   * Resolves when that is under way, or after a second.
   */
  fail(report: string): Promise<void>;
  /** An orderly end, which all ranks call: whatever ends from here on is not lost. */
  close(): Promise<void>;
}

/** The run ends because of one of its ranks. The message was printed. */
export class RankLost extends Error {
  override readonly name = 'RankLost';
}

/** Milliseconds in which a failure should have reached rank 0. */
const FAIL_MS = 1000;

/**
 * Opens the guard; every rank calls it at the same time. Where the ranks cannot reach one another, rank 0 warns and the run
 * has no guard: what a rank fails with is then printed by itself.
 * @param exchange gives all ranks the texts of all, by rank
 * @param limits silence: seconds without a sign of life of a rank; patience: seconds in which no rank gets on
 */
export async function openGuard(
  { rank, host }: { rank: number; host: string },
  exchange: (own: string) => Promise<readonly string[]>,
  limits: { silence: number; patience: number },
): Promise<Guard> {
  const own: Peer = { host, pid: process.pid };
  const peers = (await exchange(JSON.stringify(own))).map((text): Peer => JSON.parse(text));
  const board = new Int32Array(new SharedArrayBuffer(8));
  const start = (door: Door | null) => startThread({ rank, peers, door, board, ...limits });
  const hub = rank === 0 ? await start(null) : null;
  const [text = 'null'] = await exchange(JSON.stringify(hub?.door ?? null));
  const door: Door | null = JSON.parse(text);
  const thread = hub ?? (door && (await start(door)));
  const answers = await exchange(thread?.door ? 'open' : 'shut');
  const shut = answers.findIndex((answer) => answer !== 'open');
  if (!thread || shut >= 0) {
    await thread?.close();
    if (rank === 0) {
      const problem = shut === 0 ? `${nameOf(0, peers)} cannot listen` : `${nameOf(shut, peers)} does not reach rank 0`;
      say(`warning: ${problem} by TCP: it will not be noticed when a rank hangs`);
    }
    return unguarded(rank, peers);
  }
  thread.ask({ ask: 'start' });
  return {
    phase(name) {
      Atomics.store(board, 0, PHASES.indexOf(name));
      Atomics.add(board, 1, 1);
    },
    lost: thread.lost,
    async fail(report) {
      thread.ask({ ask: 'fail', report });
      await Promise.race([thread.lost.catch(() => {}), setTimeout(FAIL_MS)]);
    },
    close: thread.close,
  };
}

/** A rank of a run that has no guard. */
function unguarded(rank: number, peers: readonly Peer[]): Guard {
  return {
    phase: () => {},
    lost: new Promise<never>(() => {}),
    fail: async (report) => say(failureReport(rank, peers, report)),
    close: async () => {},
  };
}

/** Starts the thread, and waits until its channel is open or cannot be opened. It keeps no process alive. */
async function startThread(workerData: GuardJob) {
  const worker = new Worker(new URL('guard-thread.js', import.meta.url), { workerData });
  let isLost = false;
  const lost = new Promise<never>((_resolve, reject) => {
    worker.on('message', (answer: Answer) => {
      if (answer.tell !== 'lost') return;
      isLost = true;
      reject(new RankLost(answer.report));
    });
  });
  lost.catch(() => {}); // it is for whoever waits
  const [opened] = (await once(worker, 'message')) as [Answer];
  worker.unref();
  return {
    door: opened.tell === 'opened' ? opened.door : null,
    lost,
    ask: (request: Request) => worker.postMessage(request),
    async close() {
      if (isLost) return; // the thread sees to it that the process ends
      worker.ref();
      const closed = new Promise<void>((resolve) => {
        worker.on('message', ({ tell }: Answer) => tell === 'closed' && resolve());
      });
      worker.postMessage({ ask: 'close' } satisfies Request);
      await closed;
      await worker.terminate();
    },
  };
}
