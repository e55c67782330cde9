import { constants } from 'node:os';
import { isIgnored, STOP_SIGNALS, type StopSignalName } from '../base/program.js';

export type { StopSignalName };

/** Whether a signal has asked the program to stop. */
export interface StopSignal {
  readonly received: StopSignalName | null;
  /** Aborts when one does, for what would be waited for. */
  readonly aborted: AbortSignal;
  /** Gives signals back their usual effect. */
  release(): void;
}

/**
 * Listens for the first signal that asks to stop: whoever asks `received` between steps ends in an orderly way. The next
 * signal has its usual effect, which is to end the process at once. One that was ignored when the program started stays so.
 */
export function listenForStop(onSignal: (signal: StopSignalName) => void): StopSignal {
  const stop: { received: StopSignalName | null } = { received: null };
  const aborter = new AbortController();
  const listeners = STOP_SIGNALS.filter((signal) => !isIgnored(signal)).map((signal) => {
    const listener = () => {
      release();
      stop.received = signal;
      aborter.abort();
      onSignal(signal);
    };
    process.on(signal, listener);
    return { signal, listener };
  });
  const release = () => {
    for (const { signal, listener } of listeners) process.off(signal, listener);
  };
  return {
    get received() {
      return stop.received;
    },
    aborted: aborter.signal,
    release,
  };
}

/** The exit code of a program that was ended by a signal. */
export function signalExitCode(signal: StopSignalName): number {
  return 128 + constants.signals[signal];
}
