import type { Wire } from '../../base/wire.js';
import { Memory } from './arrays.js';
import { sumOverRanks } from './sum.js';
import type { Transport } from './transport.js';

const RANKS = 4;
/** Numbers of a sum: more than a processor's cache holds with their copies. */
const NUMBERS = 2 ** 22;
const TIMES = 5;

/** Four ranks between which nothing travels. */
const STILL: Transport = {
  rank: 0,
  size: RANKS,
  title: 'nothing',
  allToAll: async () => {},
  allGather: async () => {},
  broadcast: async () => {},
  close: async () => true,
};

/**
 * Seconds that a rank itself works on each number of a sum over ranks: copies, conversions, additions. They hardly depend on how
 * many ranks there are, because a rank of N adds up N pieces that are an Nth of all numbers. The median of several.
 */
export async function timeSum(wire: Wire): Promise<number> {
  const memory = new Memory();
  const numbers = [new Float32Array(NUMBERS).fill(1)];
  const seconds: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    const started = performance.now();
    await sumOverRanks(STILL, numbers, wire, memory);
    seconds.push((performance.now() - started) / 1000);
  }
  return seconds.sort((a, b) => a - b)[TIMES >> 1] / NUMBERS;
}
