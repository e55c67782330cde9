import { findMpi } from '../../core/train/communicator/find.js';
import { launchedRank } from '../../core/train/communicator/launcher.js';
import { startMpi } from '../../core/train/communicator/mpi.js';
import type { Transport } from '../../core/train/communicator/transport.js';

/*
 * One process of an MPI run: tries the transport and prints what it saw as a line of JSON; or the message of a mistake.
 * Arguments: the path of a library, or nothing.
 */

const launched = launchedRank();
if (launched === null) throw new Error('this is to be started by mpirun');
try {
  const transport = await startMpi(findMpi(launched, process.argv[2]), launched);
  const { rank, size, title } = transport;
  const seen = {
    pieces: await exchange(transport, 1),
    atOnce: await Promise.all([exchange(transport, 1), exchange(transport, 5000), share(transport, size - 1)]),
    gathered: await gather(transport, 40e6),
    turns: await turnsMeanwhile(transport),
  };
  process.stdout.write(`${JSON.stringify({ rank, size, title, launched, ...seen })}\n`);
  await transport.close();
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`);
  process.exitCode = 2;
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

/** Turns of the event loop while the others are waited for that come 50 ms later. */
async function turnsMeanwhile({ rank, broadcast }: Transport): Promise<number> {
  let turns = 0;
  const ticks = setInterval(() => turns++, 5);
  if (rank === 0) await new Promise((done) => setTimeout(done, 50));
  await broadcast(Buffer.alloc(1), 0);
  clearInterval(ticks);
  return turns;
}
