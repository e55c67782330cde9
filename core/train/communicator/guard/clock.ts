/** Seconds between two beats, at most: an eighth of the silence that is allowed. */
const BEAT_SECONDS = 1;

/**
 * Beats: a rank sends a sign of life and looks for those of others.
 * @param beat gets the seconds that have passed, not counting a time for which this process was stopped
 */
export function startBeats(silence: number, beat: (seconds: number) => void): { stop(): void; wasAway(): boolean } {
  const seconds = Math.min(BEAT_SECONDS, silence / 8);
  let last = performance.now();
  let awayUntil = 0;
  const look = () => {
    const now = performance.now();
    if (now - last > silence * 1000) awayUntil = now + silence * 1000;
    return now;
  };
  const timer = setInterval(() => {
    const now = look();
    const passed = Math.min((now - last) / 1000, 2 * seconds);
    last = now;
    beat(passed);
  }, seconds * 1000);
  return {
    stop: () => clearInterval(timer),
    /** Whether this process was stopped for so long that the others must think it lost. */
    wasAway: () => look() < awayUntil,
  };
}
