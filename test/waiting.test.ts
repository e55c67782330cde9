import test from 'ava';
import { Waiting } from '../core/train/waiting.js';

/** What is said in a run whose steps take a second, of which so much is waiting. */
function saidWhen(waitSeconds: number, steps: number): string[] {
  const said: string[] = [];
  const options = { data: ['my photos', 'more'], imageSize: 224 };
  const waiting = new Waiting(options, (text) => said.push(text));
  for (let step = 0; step < steps; step++) {
    waiting.add(step === 0 ? 30 : waitSeconds, 1);
    waiting.advise();
  }
  return said;
}

test('a run that waits for images more than a twentieth of its time says so once, with the command that helps', (t) => {
  t.deepEqual(saidWhen(0.2, 100), [
    '20% of the time (1.0 of 5.0 s) went by waiting for images; where they are large, smaller copies are read faster: ' +
      "npx ijepa data pack 'my photos' more --resize 256 --out DIR",
  ]);
  t.deepEqual(saidWhen(0.04, 100), [], 'what is waited for the first images does not count');
  t.deepEqual(saidWhen(0.5, 2), [], 'a moment is not worth a word');
});
