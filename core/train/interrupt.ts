/** Whether a signal has asked the program to stop. */
export interface StopSignal {
  readonly received: 'SIGINT' | 'SIGTERM' | null;
  /** Gives signals back their usual effect. */
  release(): void;
}

/**
 * Listens for SIGINT and SIGTERM once: whoever asks `received` between steps ends in an orderly way. After the first
 * signal the second one has its usual effect, which is to end the process at once.
 */
export function listenForStop(onSignal: (signal: 'SIGINT' | 'SIGTERM') => void): StopSignal {
  const stop: { received: StopSignal['received'] } = { received: null };
  const listen = (signal: 'SIGINT' | 'SIGTERM') => () => {
    release();
    stop.received = signal;
    onSignal(signal);
  };
  const listeners = { SIGINT: listen('SIGINT'), SIGTERM: listen('SIGTERM') };
  const release = () => {
    process.off('SIGINT', listeners.SIGINT);
    process.off('SIGTERM', listeners.SIGTERM);
  };
  process.on('SIGINT', listeners.SIGINT);
  process.on('SIGTERM', listeners.SIGTERM);
  return {
    get received() {
      return stop.received;
    },
    release,
  };
}

/** The exit code of a program that was ended by a signal. */
export function signalExitCode(signal: 'SIGINT' | 'SIGTERM'): number {
  return signal === 'SIGINT' ? 130 : 143;
}
