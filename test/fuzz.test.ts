import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { fuzzedReaders } from './fuzz/table.js';
import { tryReader } from './fuzz/trial.js';

/** The same inputs each time; `npm run test:fuzz` looks for others. */
const SEED = 1;
const CASES = 8;

for (const reader of await fuzzedReaders()) {
  // One after the other, because time and memory of each case are bounded.
  test.serial(`the reader of ${reader.name} returns or refuses, whatever bytes it gets`, async (t) => {
    const place = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
    t.teardown(() => rm(place, { recursive: true, force: true }));
    const { cases, failure } = await tryReader(reader, CASES, SEED, join(place, 'input'));
    t.is(failure?.problem, undefined, `npm run test:fuzz -- --reader ${reader.name} --cases ${CASES} --seed ${SEED}`);
    t.is(cases, CASES);
  });
}
