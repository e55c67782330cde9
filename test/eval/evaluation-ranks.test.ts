import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { type ExtractOptions, extractFeatures, type FeatureTable, helpExtraction } from '../../core/eval/features.js';
import { loadNetwork } from '../../core/eval/network.js';
import { ALONE, type Ranks, SharedError } from '../../core/train/communicator/ranks.js';
import { ijepaHere, startProgram, temporaryFolder } from '../helpers/command.js';
import { EXTRACTION, piecesIn, smallCheckpoint, someImages } from '../helpers/features.js';
import { launchers } from '../helpers/launchers.js';
import { COMMAND } from '../helpers/paths.js';
import { inRanks } from '../helpers/ranks.js';

const engine = await startEngine('wasm');

const broken = { name: 'broken.jpg', source: async () => Buffer.from('no image') };
/** Pictures of which one cannot be read. */
const images = (() => {
  const some = someImages(11);
  return { ...some, item: (index: number) => (index === 5 ? broken : some.item(index)) };
})();

/** The table that rank 0 has of the images, and what else ended the work of each rank. */
async function extractInRanks(
  t: ExecutionContext,
  size: number,
  optionsOf: (ranks: Ranks) => Partial<ExtractOptions>,
): Promise<{ table: FeatureTable | undefined; errors: unknown[] }> {
  const checkpoint = await smallCheckpoint(t);
  let table: FeatureTable | undefined;
  const errors = await inRanks(size, async (communicator) => {
    const ranks = { ...ALONE, ...communicator, names: Array.from({ length: size }, (_, rank) => `rank ${rank}`) };
    const network = await loadNetwork(checkpoint, 'target');
    const options = { ...EXTRACTION, maxUnreadable: 0.1, ...optionsOf(ranks), ranks };
    try {
      if (ranks.rank === 0) table = await extractFeatures(engine, network, images, options);
      else await helpExtraction(engine, network, images, options);
      return null;
    } catch (error) {
      return error;
    } finally {
      network.dispose();
    }
  });
  return { table, errors };
}

test.serial('ranks compute the table of one rank, bit for bit, and rank 0 keeps it', async (t) => {
  const { table: expected } = await extractInRanks(t, 1, () => ({ views: 2 }));
  t.is(expected?.rows, 20);
  for (const size of [2, 3, 8]) {
    const cache = await temporaryFolder(t);
    const first = await extractInRanks(t, size, () => ({ views: 2, cache }));
    t.deepEqual(first.errors, Array(size).fill(null));
    t.deepEqual(first.table, expected, `${size} ranks`);
    t.is(piecesIn(cache), 6, 'batches of four rows');
    const again = await extractInRanks(t, size, ({ rank }) => ({ views: 2, cache: rank === 0 ? cache : null }));
    t.deepEqual(again.table, expected, 'what is kept is taken');
  }
});

test.serial('too many images that cannot be read end all ranks with the same message', async (t) => {
  const { errors } = await extractInRanks(t, 3, () => ({ maxUnreadable: 0 }));
  for (const error of errors) {
    t.true(error instanceof SharedError);
    t.regex((error as SharedError).message, /^an image cannot be read: broken\.jpg: /);
  }
});

test.serial('a rank that is asked to stop stops all of them after the round', async (t) => {
  const cache = await temporaryFolder(t);
  const aborter = new AbortController();
  const { errors } = await extractInRanks(t, 2, ({ rank }) => ({
    batchSize: 2,
    cache,
    ...(rank === 0 ? { onProgress: (done: number) => done > 0 && aborter.abort() } : { signal: aborter.signal }),
  }));
  t.deepEqual(
    errors.map((error) => (error as Error).name),
    ['AbortError', 'AbortError'],
  );
  const kept = piecesIn(cache);
  t.true(kept >= 2 && kept < 6, `${kept} batches`);
});

/** Few steps, and views that are computed while heads are trained. */
const PAPER = ['--protocol', 'paper', '--views', '2'];
const [launcher] = launchers();
if (!launcher) test.skip('a probe in two processes gives the results of one (there is no launcher of MPI)', () => {});
else {
  test.serial(`${launcher.name}: a probe in two processes gives the results of one`, async (t) => {
    const folder = await temporaryFolder(t);
    const probe = ['probe', await smallCheckpoint(t), '--data', 'shapes:40', '--layers', 'last', '--no-baseline'];
    const args = (out: string) => [...probe, '--engine', 'wasm', ...PAPER, '--out', join(folder, out)];
    const alone = await ijepaHere(args('one'));
    t.is(alone.code, 0, alone.stderr);
    const command = [launcher.command, ...launcher.args(2), process.execPath, COMMAND];
    const { code, stdout, stderr } = await startProgram([...command, ...args('two')]);
    t.is(code, 0, stderr);
    t.is(stdout.match(/^ranks {6}2 on this host/gm)?.length, 1, stdout);
    const results = async (out: string) =>
      JSON.parse(await readFile(join(folder, out, 'results.json'), 'utf8')).map((result: object) => ({
        ...result,
        measuredAt: null,
      }));
    t.deepEqual(await results('two'), await results('one'));
  });
}
