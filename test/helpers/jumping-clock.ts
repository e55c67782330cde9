// Preloaded with `node --import`: a clock that jumps an hour or a century back and forth each time it is asked.
const now = Date.now;
const JUMPS = [3.6e6, -3.6e6, 3.2e12, -1.5e12, 0];
let asked = 0;
const jump = () => JUMPS[asked++ % JUMPS.length] as number;
Date.now = () => now() + jump();
globalThis.Date = new Proxy(Date, {
  construct: (target, given: []) => (given.length > 0 ? new target(...given) : new target(Date.now())),
});
