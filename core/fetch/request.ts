import { setTimeout as wait } from 'node:timers/promises';
import { type Advice, reasonOf, UserError } from '../base/errors.js';

/** How long one tries. */
export interface Persistence {
  /** Is told why it has to try again, and after how long. */
  onRetry?: (reason: string, waitSeconds: number) => void;
  signal?: AbortSignal;
  /** Tries in a row that bring nothing new, after which it gives up. */
  tries?: number;
  /** Before the second try; twice as long before each one after that. */
  firstWaitSeconds?: number;
  /** Without any byte, after which a connection counts as broken. */
  stallSeconds?: number;
}

const DEFAULTS = { tries: 6, firstWaitSeconds: 0.5, stallSeconds: 60 };
const MAX_WAIT_SECONDS = 60;

/** A failure that may pass: the connection broke off, or the server is busy. */
export class TransientFailure extends Error {
  override readonly name = 'TransientFailure';
  constructor(
    reason: string,
    /** What the server asks to wait, in seconds. */
    readonly waitSeconds: number | null = null,
  ) {
    super(reason);
  }
}

/**
 * Tries until it works. Tries count anew whenever one brought more than was ever there.
 * @param advice what to do when the server stays away
 * @param arrived how many bytes are there
 * @throws UserError after too many transient failures
 * @throws whatever else a try throws; the signal's reason when it aborts
 */
export async function persist<T>(
  url: string,
  persistence: Persistence,
  attempt: () => Promise<T>,
  advice: () => Advice,
  arrived = () => 0,
): Promise<T> {
  const { tries, firstWaitSeconds, signal } = { ...DEFAULTS, ...persistence };
  let furthest = arrived();
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TransientFailure)) throw error;
      failures = arrived() > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, arrived());
      if (failures >= tries) throw new UserError(`${url} cannot be fetched: ${error.message}`, advice());
      const seconds = Math.min(MAX_WAIT_SECONDS, error.waitSeconds ?? firstWaitSeconds * 2 ** (failures - 1));
      persistence.onRetry?.(error.message, seconds);
      await wait(seconds * 1000, undefined, signal && { signal });
    }
  }
}

/**
 * One request for a file, or for its bytes from `from` to `to` (included; to the end where it is left out), on the condition
 * that it is still the one with this validator.
 * @param use takes the response, and its bytes as they arrive
 * @throws TransientFailure where it is worth trying again
 */
export async function request<T>(
  url: string,
  range: { from: number; to?: number; validator?: string | null } | null,
  { signal, stallSeconds = DEFAULTS.stallSeconds }: Persistence,
  use: (response: Response, bytes: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController();
  const timer = setTimeout(() => {
    stalled.abort(new TransientFailure(`nothing arrived for ${stallSeconds} seconds`));
  }, stallSeconds * 1000);
  const unlink = signal && linkAbort(signal, stalled);
  const headers = {
    'accept-encoding': 'identity',
    ...(range && { range: `bytes=${range.from}-${range.to ?? ''}` }),
    ...(range?.validator && { 'if-range': range.validator }),
  };
  try {
    const response = await connected(fetch(url, { headers, signal: stalled.signal }), 'the server cannot be reached');
    const reader = response.body?.getReader();
    async function* bytes(): AsyncGenerator<Uint8Array> {
      while (reader) {
        const { done, value } = await connected(reader.read(), 'the connection broke off');
        if (done) return;
        timer.refresh();
        yield value;
      }
    }
    return await use(response, bytes()).finally(() => reader?.cancel().catch(() => {})); // the rest is not wanted
  } finally {
    clearTimeout(timer);
    unlink?.();
  }
}

/** Failures of the network are transient. */
async function connected<T>(work: Promise<T>, problem: string): Promise<T> {
  return work.catch((error: unknown) => {
    throw error instanceof TransientFailure ? error : new TransientFailure(`${problem} (${networkReason(error)})`);
  });
}

/** What a response brings: bytes of the file from `start` on. */
export interface Delivery {
  start: number;
  /** Size of the whole file in bytes, where it is known. */
  total: number | null;
  /** An ETag or a date that changes when the file does; null where the server gives none. */
  validator: string | null;
}

/**
 * What a response brings; null for a range that cannot be had or read.
 * @throws TransientFailure where the server is busy
 * @throws UserError with the remedy where it does not have the file
 */
export function readDelivery(response: Response, url: string, remedy: string): Delivery | null {
  const { status, headers } = response;
  if (status === 416) return null;
  if (status === 408 || status === 429 || status >= 500) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    throw new TransientFailure(`the server answers ${describe(response)}`, Number.isFinite(seconds) ? seconds : null);
  }
  if (status !== 200 && status !== 206) {
    throw new UserError(`${url} answers ${describe(response)}`, { expected: 'the address of a file', remedy });
  }
  // A weak ETag does not promise the same bytes.
  const tag = headers.get('etag');
  const validator = tag && !tag.startsWith('W/') ? tag : headers.get('last-modified');
  if (status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
    if (start === undefined) return null;
    return { start: Number(start), total: total === '*' ? null : Number(total), validator };
  }
  // The length is that of the bytes that arrive here only where they are not packed for the way.
  const isPacked = (headers.get('content-encoding') ?? 'identity') !== 'identity';
  const length = isPacked ? null : headers.get('content-length');
  return { start: 0, total: length === null ? null : Number(length), validator };
}

function describe({ status, statusText }: Response): string {
  return `${status} ${statusText}`.trim();
}

/** Why a request failed, in one line. */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && cause.message === '' && 'code' in cause) return String(cause.code);
  return reasonOf(cause);
}

/**
 * Lets a controller abort when a signal does.
 * @returns ends that: a signal that lives long keeps nothing of what came and went (AbortSignal.any may)
 */
export function linkAbort(signal: AbortSignal, controller: AbortController): () => void {
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}
