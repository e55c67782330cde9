import { fstatSync } from 'node:fs';
import { attempt, reasonOf, UserError } from '../../base/errors.js';
import { directCommand } from '../../base/program.js';
import type { Launched } from './launcher.js';
import { loadMpi, type MpiLibrary, type MpiRequest } from './mpi-library.js';
import type { Transport } from './transport.js';

/** Counts of bytes are C's int. */
const MAX_BYTES = 2 ** 31 - 1;
/** Milliseconds without pauses after something has moved, or was begun, where the time of its bytes is added. */
const EAGER_MS = 1;
/** Bytes that MPI moves in a millisecond, where it is not held up. */
const BYTES_PER_MS = 1e6;
/** Milliseconds in which MPI should have ended. */
const FINALIZE_MS = 5000;
/** Milliseconds of a pause. */
const PAUSE_MS = 1;
/** A test that takes longer than so many milliseconds has moved bytes; others take less than a thousandth. */
const MOVING_MS = 0.02;

/**
 * What would break a program with threads and handlers of its own; a user's own settings stay. Handlers of signals would
 * take those of Node away. To try its hooks for memory, UCX takes the last page off the heap where the heap cannot grow, as
 * it cannot when V8's code happens to lie right above it: one start in a hundred crashed.
 */
const SETTINGS = {
  OMPI_MCA_opal_signal: '',
  UCX_ERROR_SIGNALS: '',
  UCX_HANDLE_ERRORS: 'none',
  UCX_DEBUG_SIGNO: '0', // it would be SIGHUP
  UCX_MEM_EVENTS: 'n',
  UCX_MEM_MMAP_HOOK_MODE: 'none',
  FI_MR_CACHE_MONITOR: 'disabled',
};

/**
 * Starts MPI, together with the other processes of the run. An error of MPI itself ends them all.
 * @param path of the library
 * @throws UserError if the library does not load or is not the launcher's, or the launcher cannot be reached
 */
export async function startMpi(path: string, launched: Launched): Promise<Transport> {
  for (const [name, value] of Object.entries(SETTINGS)) process.env[name] ??= value;
  const mpi = await loadMpi(path).catch((error: unknown) => {
    throw new UserError(`the MPI library ${path} does not load: ${reasonOf(error)}`, {
      remedy: 'name another one with --mpi',
    });
  });
  const text = mpi.version();
  const title = `${mpiTitle(text)} (${path})`;
  // Other libraries take themselves for a run of one process, or end the program.
  const isOther = launched.family !== null && (launched.family === 'Open MPI') !== text.startsWith('Open MPI');
  if (isOther) throw wrongLibrary(launched, title);
  checkConnection(launched);
  mpi.init();
  const [rank, size] = [mpi.rank(), mpi.size()];
  if (size !== launched.size || rank !== launched.rank) {
    mpi.finalize();
    throw wrongLibrary(launched, title, `: to it, this is process ${rank} of ${size}`);
  }
  const finish = waiter(mpi);
  return {
    rank,
    size,
    title,
    async allToAll(send, sendCounts, receive, receiveCounts) {
      checkCounts(send, sendCounts, size);
      checkCounts(receive, receiveCounts, size);
      await finish(mpi.allToAll(send, sendCounts, receive, receiveCounts), send.length + receive.length);
    },
    async allGather(own, all, counts) {
      checkCounts(all, counts, size);
      checkCounts(own, [counts[rank] as number], 1);
      await finish(mpi.allGather(own, all, counts), all.length);
    },
    async broadcast(bytes, root) {
      checkCounts(bytes, [bytes.length], 1);
      await finish(mpi.broadcast(bytes, root), bytes.length);
    },
    async close(code) {
      await finish(mpi.barrier(), 0);
      // Over TCP by UCX, Finalize of MPICH waits for ever in one run of two. Its launcher takes an exit with 0 for an end.
      if (launched.launcher === 'MPICH' && code === 0) return false;
      const tooLong = new Promise<false>((resolve) => setTimeout(resolve, FINALIZE_MS, false).unref());
      return Promise.race([mpi.finalizeBeside(), tooLong]);
    },
  };
}

function wrongLibrary({ launcher, rank, size }: Launched, title: string, says = ''): UserError {
  return new UserError(`${launcher} started process ${rank} of ${size}, but ${title} is not its library${says}`, {
    expected: 'launcher and library of one MPI',
    remedy: "start the run with that library's mpirun, or name the launcher's library with --mpi",
  });
}

/**
 * MPICH's launcher talks to its processes through an open file, of which Node tells no program that it starts: npx loses it.
 * @throws UserError if it is lost
 */
function checkConnection({ launcher, family }: Launched): void {
  const file = process.env.PMI_FD;
  if (file === undefined || family === 'Open MPI' || attempt(() => fstatSync(Number(file)).isSocket(), false)) return;
  throw new UserError(`the connection to ${launcher}'s launcher is lost: a program between it and this one closed it`, {
    expected: 'that the launcher starts this program itself; npx lets only Open MPI through',
    remedy: `start ${directCommand()} in place of npx`,
  });
}

/** The name and version of a library, from what it says of itself: 'Open MPI 4.1.4'. */
export function mpiTitle(version: string): string {
  const [first = ''] = version.split(/[,\n]/);
  return first
    .replace(/\s*Version:\s*/, ' ')
    .replace(/ v(?=\d)/, ' ')
    .trim();
}

function checkCounts(bytes: Uint8Array, counts: readonly number[], pieces: number): void {
  const sum = counts.reduce((total, count) => total + count, 0);
  if (counts.length !== pieces || sum !== bytes.length) {
    throw new Error(`${counts.length} pieces of ${sum} bytes are not ${pieces} of ${bytes.length}`);
  }
  if (sum > MAX_BYTES) throw new Error(`${sum} bytes are more than MPI moves at once, ${MAX_BYTES}`);
}

/**
 * Looks after what is under way, as MPI moves bytes only while it is called: at every turn of the event loop at first and
 * while bytes move, then after pauses, which leave the processor to others.
 */
function waiter(mpi: MpiLibrary): (request: MpiRequest, bytes: number) => Promise<void> {
  const pending = new Map<MpiRequest, () => void>();
  let timer: NodeJS.Timeout | undefined;
  let eagerUntil = 0;
  const hurry = (now: number, bytes: number) => {
    eagerUntil = Math.max(eagerUntil, now + EAGER_MS + bytes / BYTES_PER_MS);
  };

  function look(): void {
    timer = undefined;
    for (const [request, done] of pending) {
      const before = performance.now();
      const isDone = mpi.test(request);
      const now = performance.now();
      if (now - before > MOVING_MS) hurry(now, 0);
      if (!isDone) continue;
      pending.delete(request);
      done();
    }
    if (pending.size === 0) eagerUntil = 0;
    else if (performance.now() < eagerUntil) setImmediate(look);
    else timer = setTimeout(look, PAUSE_MS);
  }

  return (request, bytes) =>
    new Promise((done) => {
      const isLooking = pending.size > 0 && timer === undefined;
      pending.set(request, done);
      hurry(performance.now(), bytes);
      clearTimeout(timer);
      timer = undefined;
      if (!isLooking) setImmediate(look);
    });
}
