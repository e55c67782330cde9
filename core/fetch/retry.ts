import { setTimeout as wait } from 'node:timers/promises';
import { PassingFailure } from './response.js';

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
const LONGEST_WAIT_SECONDS = 60;

/**
 * Tries until it works. Tries count anew whenever one brought more than was ever there.
 * @param arrived how many bytes are there
 * @throws PassingFailure, the last one, after too many tries
 * @throws whatever else a try throws; the signal's reason when it aborts
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  arrived: () => number | Promise<number>,
  options: Persistence,
): Promise<T> {
  const { tries, firstWaitSeconds, signal } = { ...DEFAULTS, ...options };
  let furthest = await arrived();
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof PassingFailure)) throw error;
      const bytes = await arrived();
      failures = bytes > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, bytes);
      if (failures >= tries) throw error;
      const seconds = Math.min(LONGEST_WAIT_SECONDS, error.waitSeconds ?? firstWaitSeconds * 2 ** (failures - 1));
      options.onRetry?.(error.message, seconds);
      await wait(seconds * 1000, undefined, signal && { signal });
    }
  }
}

/** A signal that aborts when nothing has arrived for some time, or when the caller's does. */
export function watchForStall({ signal, stallSeconds = DEFAULTS.stallSeconds }: Persistence): {
  signal: AbortSignal;
  alive(): void;
  end(): void;
} {
  const stalled = new AbortController();
  const timer = setTimeout(() => {
    stalled.abort(new PassingFailure(`nothing arrived for ${stallSeconds} seconds`));
  }, stallSeconds * 1000);
  const unlink = signal && linkAbort(signal, stalled);
  return {
    signal: stalled.signal,
    alive: () => void timer.refresh(),
    end: () => {
      clearTimeout(timer);
      unlink?.();
    },
  };
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
