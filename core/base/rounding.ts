/** Python's `round`: halves go to the even neighbour. */
export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** To so many digits after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
