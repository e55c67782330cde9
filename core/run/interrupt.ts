import { constants } from 'node:os';
import { isIgnored, STOP_SIGNALS, type StopSignalName } from '../base/program.js';

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
  const aborter = new AbortController();
  const signals = STOP_SIGNALS.filter((signal) => !isIgnored(signal));
  const stop = { received: null as StopSignalName | null, aborted: aborter.signal, release };
  for (const signal of signals) process.on(signal, listener);
  return stop;

  function listener(signal: NodeJS.Signals): void {
    release();
    stop.received = signal as StopSignalName;
    aborter.abort();
    onSignal(stop.received);
  }
  function release(): void {
    for (const signal of signals) process.off(signal, listener);
  }
}

/** The exit code of a program that was ended by a signal. */
export function signalExitCode(signal: StopSignalName): number {
  return 128 + constants.signals[signal];
}
