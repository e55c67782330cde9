import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { UpdateMemory } from '../../core/engine/onnx/host-update.js';
import { relativeDifference } from '../helpers/engines.js';

const BETA = { beta1: 0.9, oneMinusBeta1: 1 - 0.9, beta2: 0.99, oneMinusBeta2: 1 - 0.99 };
const NUMBERS = {
  ...BETA,
  decayFactor: 0.98,
  stepSize: 0.02,
  inverseSqrtBiasCorrection2: 1.5,
  epsilon: 1e-8,
  emaDecay: 0.75,
  oneMinusEmaDecay: 0.25,
};

/** The update as `UpdateParameter` writes it, in double precision. */
function expected(slot: Record<'value' | 'first' | 'second' | 'target', number[]>, gradient: Float32Array) {
  const { value, first, second, target } = slot;
  gradient.forEach((g, i) => {
    const m = NUMBERS.beta1 * (first[i] as number) + NUMBERS.oneMinusBeta1 * g;
    const v = NUMBERS.beta2 * (second[i] as number) + NUMBERS.oneMinusBeta2 * g * g;
    const direction = m / (Math.sqrt(v) * NUMBERS.inverseSqrtBiasCorrection2 + NUMBERS.epsilon);
    const moved = NUMBERS.decayFactor * (value[i] as number) - NUMBERS.stepSize * direction;
    [first[i], second[i], value[i]] = [m, v, moved];
    target[i] = NUMBERS.emaDecay * (target[i] as number) + NUMBERS.oneMinusEmaDecay * moved;
  });
}

function placed(memory: UpdateMemory, length: number, stream: RandomStream) {
  const draw = (from: number) => Float32Array.from({ length }, () => stream.uniform(from, 1));
  const drawn = { value: draw(-1), first: draw(-1), second: draw(0), target: draw(-1) };
  const arena = memory.arenaFor(Object.values(drawn));
  const [value, first, second, target] = Object.values(drawn).map((data) => arena.copy(data)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return { value, first, second, target };
}

// Around a vector of four floats and around the block of a gradient that is copied at once.
for (const length of [1, 3, 4, 5, 16_383, 16_384, 16_385, 40_001]) {
  test(`the update of ${length} numbers is that of the formula, step after step`, (t) => {
    const memory = new UpdateMemory();
    const stream = new RandomStream(length, 'update');
    const before = placed(memory, 7, stream);
    const slot = placed(memory, length, stream);
    const after = placed(memory, 7, stream);
    const neighbours = [...Object.values(before), ...Object.values(after)].map((data) => [...data]);
    const byHand = {
      value: [...slot.value],
      first: [...slot.first],
      second: [...slot.second],
      target: [...slot.target],
    };
    for (let step = 0; step < 3; step++) {
      const gradient = Float32Array.from({ length }, () => stream.normal());
      const squares = memory.arenaFor(Object.values(slot)).update(slot, gradient, NUMBERS);
      expected(byHand, gradient);
      for (const name of ['value', 'first', 'second', 'target'] as const) {
        t.true(relativeDifference(slot[name], byHand[name]) < 2e-6, name);
      }
      const sum = byHand.value.reduce((total, value) => total + value * value, 0);
      t.true(Math.abs(squares / sum - 1) < 1e-5);
    }
    t.deepEqual(
      [...Object.values(before), ...Object.values(after)].map((data) => [...data]),
      neighbours,
    );
  });
}

test('a parameter without a target changes nothing but itself and its moments', (t) => {
  const memory = new UpdateMemory();
  const { target, ...slot } = placed(memory, 10, new RandomStream(0, 'update'));
  const [old, targets] = [[...slot.value], [...target]];
  memory.arenaFor(Object.values(slot)).update(slot, new Float32Array(10).fill(1), NUMBERS);
  t.notDeepEqual([...slot.value], old);
  t.deepEqual([...target], targets);
});

test('arrays that lie in different places are brought together, those that lie together stay', (t) => {
  const memory = new UpdateMemory();
  const { value, first } = placed(memory, 4, new RandomStream(0, 'update'));
  t.true(memory.arenaFor([value, first]).owns(value));
  const elsewhere = new Float32Array(4);
  const arena = memory.arenaFor([elsewhere, first]);
  t.false(arena.owns(elsewhere));
  t.deepEqual([...arena.copy(first)], [...first]);
});
