import { constants } from 'node:os';

/** The signals after which a run is saved. SIGHUP comes when a terminal closes. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignalName = (typeof STOP_SIGNALS)[number];

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
 * signal has its usual effect, which is to end the process at once.
 */
export function listenForStop(onSignal: (signal: StopSignalName) => void): StopSignal {
  const stop: { received: StopSignalName | null } = { received: null };
  const aborter = new AbortController();
  const listeners = STOP_SIGNALS.map((signal) => {
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
