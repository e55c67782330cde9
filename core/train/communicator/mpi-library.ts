import { basename } from 'node:path';
import type { LibraryHandle } from 'koffi';
import { reasonOf } from '../../base/errors.js';

/* MPI's C library, by the names and types of the standard. */

/** Flags of `dlopen`: resolve all names at once, show them to libraries that follow, never unload. */
const RTLD = process.platform === 'darwin' ? 0x2 | 0x8 | 0x80 : 0x2 | 0x100 | 0x1000;
/** Bytes that hold what any library says of itself. */
const TEXT_BYTES = 8192;
/** A request is an int or a pointer. */
const REQUEST_BYTES = 8;
/** A status takes 20 to 32 bytes. */
const STATUS_BYTES = 64;

/** Values that builds of MPI differ in; `handle` is the C type of communicators and data types. */
interface Build {
  handle: 'void *' | 'int';
  world: bigint | number;
  byte: bigint | number;
  /** The level of threads at which all calls come from one of them. */
  funneled: number;
}
const MPICH: Build = { handle: 'int', world: 0x44000000, byte: 0x4c00010d, funneled: 1 };
const STANDARD: Build = { handle: 'void *', world: 0x101n, byte: 0x247n, funneled: 1024 };

export type MpiLibrary = Awaited<ReturnType<typeof loadMpi>>;
/** What is under way, and the memory that it uses. */
export type MpiRequest = { handle: Uint8Array; memory: readonly unknown[] };

/**
 * Loads MPI's library, which stays in the process to its end: unloaded, it would leave threads and handlers behind that crash.
 * @throws Error if it does not load; its message is the reason
 */
export async function loadMpi(path: string) {
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    throw new Error(`the package koffi, which calls it, does not load: ${reasonOf(error)}`, { cause: error });
  });
  const system = koffi.load(null);
  const open = system.func('void *dlopen(const char *file, int flags)');
  const reason = system.func('const char *dlerror()');
  if (!open(path, RTLD)) throw new Error(reason());
  const library = koffi.load(path);
  const { handle, world, byte, funneled } = buildOf(library, path);
  const declared = (name: string, parameters: string) => library.func(`int MPI_${name}(${parameters})`);
  const functions = {
    version: declared('Get_library_version', 'void *text, void *length'),
    init: declared('Init_thread', 'void *count, void *words, int wanted, void *given'),
    rank: declared('Comm_rank', `${handle} world, void *rank`),
    size: declared('Comm_size', `${handle} world, void *size`),
    test: declared('Test', 'void *request, void *isDone, void *status'),
    barrier: declared('Ibarrier', `${handle} world, void *request`),
    broadcast: declared('Ibcast', `void *bytes, int count, ${handle} type, int root, ${handle} world, void *request`),
    allToAll: declared(
      'Ialltoallv',
      `void *send, void *sendCounts, void *sendPlaces, ${handle} sendType, ` +
        `void *receive, void *counts, void *places, ${handle} type, ${handle} world, void *request`,
    ),
    finalize: declared('Finalize', ''),
  };
  const isDone = memoryOf([0]);
  const status = new Uint8Array(new ArrayBuffer(STATUS_BYTES));

  /** Starts a call whose last parameter is a request; the arrays among the others are its memory. */
  function start(call: (...parameters: unknown[]) => number, ...parameters: unknown[]): MpiRequest {
    const request = new Uint8Array(new ArrayBuffer(REQUEST_BYTES));
    const given = parameters.map((each) => (ArrayBuffer.isView(each) ? koffi.address(fixed(each)) : each));
    call(...given, request);
    return { handle: request, memory: parameters };
  }
  function number(call: (world: unknown, out: Int32Array) => number): number {
    const out = memoryOf([0]);
    call(world, out);
    return out[0] as number;
  }
  /** Where pieces begin that lie one after the other. */
  function places(counts: readonly number[]): Int32Array {
    const sums = counts.map((_, at) => counts.slice(0, at).reduce((sum, count) => sum + count, 0));
    return memoryOf(sums);
  }

  /** @param from where the piece for each rank begins */
  function exchange(
    send: Uint8Array,
    sent: readonly number[],
    from: Int32Array,
    receive: Uint8Array,
    received: readonly number[],
  ): MpiRequest {
    const sending = [send, memoryOf(sent), from, byte];
    return start(functions.allToAll, ...sending, receive, memoryOf(received), places(received), byte, world);
  }

  return {
    /** What the library says of itself, before MPI has started too: 'Open MPI v4.1.4, package: ...'. */
    version(): string {
      const text = Buffer.alloc(TEXT_BYTES);
      functions.version(text, memoryOf([0]));
      return text.toString('latin1', 0, text.indexOf(0));
    },
    init: () => functions.init(null, null, funneled, memoryOf([0])),
    rank: () => number(functions.rank),
    size: () => number(functions.size),
    /** Goes on with what is under way; gives true once that has ended. */
    test(request: MpiRequest): boolean {
      functions.test(request.handle, isDone, status);
      return isDone[0] === 1;
    },
    barrier: () => start(functions.barrier, world),
    broadcast: (bytes: Uint8Array, root: number) => start(functions.broadcast, bytes, bytes.length, byte, root, world),
    allToAll(send: Uint8Array, sent: readonly number[], receive: Uint8Array, received: readonly number[]) {
      return exchange(send, sent, places(sent), receive, received);
    },
    /** The same piece goes to everyone: MPI's own Allgatherv takes thousands of rounds in MPICH where pieces are uneven. */
    allGather(own: Uint8Array, all: Uint8Array, counts: readonly number[]) {
      const sent = counts.map(() => own.length);
      return exchange(own, sent, memoryOf(counts.map(() => 0)), all, counts);
    },
    finalize: () => functions.finalize(),
    /** The same beside the event loop. */
    finalizeBeside: () =>
      new Promise<true>((resolve, reject) => {
        functions.finalize.async((error: unknown) => (error ? reject(error as Error) : resolve(true)));
      }),
  };
}

/** Which of the builds a library is. */
function buildOf(library: LibraryHandle, path: string): Build {
  const address = (name: string): bigint => library.symbol(name);
  try {
    return { handle: 'void *', world: address('ompi_mpi_comm_world'), byte: address('ompi_mpi_byte'), funneled: 1 };
  } catch {
    return basename(path).startsWith('libmpi_abi') ? STANDARD : MPICH;
  }
}

/** An array whose memory does not move: V8 keeps small ones in its own heap until somebody asks for their buffer. */
function fixed(array: ArrayBufferView): ArrayBufferView {
  return array.buffer && array;
}

/** Numbers in memory that does not move. */
function memoryOf(values: readonly number[]): Int32Array {
  const memory = new Int32Array(new ArrayBuffer(4 * values.length));
  memory.set(values);
  return memory;
}
