const JUMPS = [3.6e6, -3.6e6, 3.2e12, -1.5e12, 0];

/** Makes the clock jump an hour or a century back and forth each time it is asked. @returns what sets it right */
export function jumpingClock(): () => void {
  const RightDate = Date;
  const now = Date.now;
  let asked = 0;
  const jumped = () => now() + (JUMPS[asked++ % JUMPS.length] as number);
  Date.now = jumped;
  globalThis.Date = new Proxy(Date, {
    construct: (target, given: []) => (given.length > 0 ? new target(...given) : new target(jumped())),
  });
  return () => {
    globalThis.Date = RightDate;
    Date.now = now;
  };
}
