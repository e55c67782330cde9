import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { UserError } from '../../core/base/errors.js';
import { findMpi } from '../../core/train/communicator/find.js';
import { launchedRank } from '../../core/train/communicator/launcher.js';
import { startMpi } from '../../core/train/communicator/mpi.js';
import type { Transport } from '../../core/train/communicator/transport.js';

// `mpirun -n 2 node mpi-member.js [LIBRARY]`: tries the transport and prints what it saw, or the message of a mistake, as JSON.
try {
  print(await tryTransport(process.argv[2]));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  print({ error: error.report });
  process.exitCode = 2;
}

async function tryTransport(library?: string) {
  const launched = launchedRank();
  if (launched === null) throw new Error('this is to be started by mpirun');
  const signals = caughtSignals();
  const transport = await startMpi(findMpi(launched, library), launched);
  const { rank, size, title } = transport;
  const seen = {
    keepsSignals: caughtSignals() === signals,
    pieces: await exchange(transport, 1),
    atOnce: await Promise.all([exchange(transport, 1), exchange(transport, 5000), share(transport, size - 1)]),
    gathered: await gather(transport, 40e6),
    turns: await turnsMeanwhile(transport),
  };
  await transport.close(1);
  return { rank, size, title, launched, ...seen };
}

/** Sends `unit` times (from + to) % 3 bytes of the value 16 from + to; gives whether that is what arrived. */
async function exchange({ rank, size, allToAll }: Transport, unit: number): Promise<boolean> {
  const ranks = Array.from({ length: size }, (_, at) => at);
  const piece = (from: number, to: number) => new Uint8Array(((from + to) % 3) * unit).fill(16 * from + to);
  const sent = ranks.map((to) => piece(rank, to));
  const expected = ranks.map((from) => piece(from, rank));
  const lengths = (pieces: readonly Uint8Array[]) => pieces.map(({ length }) => length);
  const received = Buffer.alloc(Buffer.concat(expected).length);
  await allToAll(Buffer.concat(sent), lengths(sent), received, lengths(expected));
  return received.equals(Buffer.concat(expected));
}

/** Gathers `bytes` from all ranks, the last one of which gives nothing. */
async function gather({ rank, size, allGather }: Transport, bytes: number): Promise<boolean> {
  const counts = Array.from({ length: size }, (_, at) => (at === size - 1 ? 0 : Math.floor(bytes / (size - 1))));
  const expected = Buffer.concat(counts.map((count, at) => new Uint8Array(count).fill(at + 1)));
  const all = Buffer.alloc(expected.length);
  await allGather(Buffer.alloc(counts[rank] as number, rank + 1), all, counts);
  return all.equals(expected);
}

async function share({ rank, broadcast }: Transport, root: number): Promise<boolean> {
  const bytes = Buffer.alloc(100_000, rank);
  await broadcast(bytes, root);
  return bytes.equals(Buffer.alloc(bytes.length, root));
}

/** Turns of the event loop while rank 0 is waited for, which comes late. */
async function turnsMeanwhile({ rank, size, allGather, broadcast }: Transport): Promise<number> {
  await allGather(new Uint8Array(1), new Uint8Array(size), new Array(size).fill(1));
  let turns = 0;
  const ticks = setInterval(() => turns++, 5);
  if (rank === 0) await setTimeout(300);
  await broadcast(new Uint8Array(1), 0);
  clearInterval(ticks);
  return turns;
}

/** The signals that the process handles, as Linux tells them. */
function caughtSignals(): string | undefined {
  return process.platform === 'linux' ? /^SigCgt:.*$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[0] : '';
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
