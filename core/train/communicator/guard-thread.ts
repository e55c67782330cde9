import { parentPort, workerData } from 'node:worker_threads';
import { exitAtOnce } from './exit.js';
import type { Answer, Channel, GuardJob, Request } from './guard/contract.js';
import { openHub } from './guard/hub.js';
import { openMember } from './guard/member.js';

// The thread of a run's guard, which hears and speaks while the main thread computes.
// This module is started, never imported.
const job = workerData as GuardJob;

/** Milliseconds in which the main thread may end the process by itself, and those for calling the C library. */
const GRACE_MS = 3000;
const EXIT_MS = 1000;
const EXIT_CODE = 2;

let hasEnded = false;
const channel = await open();
tell({ tell: 'opened', door: channel?.door ?? null });

parentPort?.on('message', async (request: Request) => {
  if (request.ask === 'start') channel?.start();
  if (request.ask === 'fail' && !hasEnded) channel?.fail(request.report);
  if (request.ask === 'close') {
    await channel?.close();
    tell({ tell: 'closed' });
  }
});

function open(): Promise<Channel | null> {
  return job.door ? openMember(job, job.door, end) : openHub(job, end).catch(() => null);
}

function end(report: string): void {
  hasEnded = true;
  tell({ tell: 'lost', report });
  setTimeout(endProcess, GRACE_MS);
}

/** Ends the process whatever its main thread does: at once, with no handler being called. */
async function endProcess(): Promise<void> {
  setTimeout(kill, EXIT_MS);
  try {
    await exitAtOnce(EXIT_CODE);
  } catch {
    kill();
  }
}

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}

function tell(answer: Answer): void {
  parentPort?.postMessage(answer);
}
