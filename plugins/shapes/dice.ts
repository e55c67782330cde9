import { createHash } from 'node:crypto';

/** Random choices that depend on a scene's number alone. */
export interface Dice {
  /** A uniform number in [from, to). */
  between(from: number, to: number): number;
  /** A uniform whole number, both ends included. */
  integer(from: number, to: number): number;
  pick<T>(choices: readonly T[]): T;
}

/** Numbers from SHA-256 in counter mode: the same on every machine and in every version of Node. */
export function createDice(scene: number): Dice {
  let block = Buffer.alloc(0);
  let used = 0;
  let counter = 0;
  const next = (): number => {
    if (used === block.length) {
      block = createHash('sha256').update(`shapes/${scene}/${counter++}`).digest();
      used = 0;
    }
    used += 4;
    return block.readUInt32LE(used - 4) / 2 ** 32;
  };
  const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    between: (from, to) => from + next() * (to - from),
    integer,
    pick: (choices) => choices[integer(0, choices.length - 1)] as (typeof choices)[number],
  };
}
