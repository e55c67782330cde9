import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { toNormalised } from '../../core/data/normalise.js';
import type { Engine } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { findHead, readHead } from '../../core/eval/head-file.js';
import { loadNamedNetwork } from '../../core/eval/named-network.js';
import { loadNetwork } from '../../core/eval/network.js';
import { prepareFeatures } from '../../core/eval/prepare-features.js';
import { builtinWeights } from '../../core/exchange/builtin.js';
import { readAnyEncoder, readNetwork } from '../../core/exchange/read.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { ROOT } from '../helpers/paths.js';

const engines = await findEngines();
const NAME = 'builtin:drawings';
/** Pictures of noise: what weights give is compared, not what they know. */
const PICTURES = Array.from({ length: 2 }, (_, at) => {
  const stream = new RandomStream(at, 'pictures');
  return Uint8Array.from({ length: 3 * 32 ** 2 }, () => stream.integer(0, 255));
});

test('weights of the program are read by their name, which is what files remember of them', async (t) => {
  const { size, facts, positions } = await readAnyEncoder(NAME, null);
  t.like(facts, { method: 'SimCLR', checkpoint: NAME, weights: 'pretrained' });
  t.like(size, { imageSize: 32, patchSize: 8 });
  t.is(positions, null, 'they are the sine-cosine ones, so that a run can start from them');
  t.is((await readNetwork(NAME, 'head')).size, 0);
});

test('their head belongs to them', async (t) => {
  await startEngine('wasm');
  const { facts, classes, head } = await readHead(await findHead(NAME));
  t.is(classes.length, head.bias.length);
  t.true(classes.includes('animal-mammal'));
  const network = await loadNamedNetwork(NAME, facts, { checkpoint: null, encoder: null });
  t.is(network.facts.fingerprint, facts.fingerprint);
  network.dispose();
});

test('another name gets one message with the names that there are', async (t) => {
  for (const ask of [() => readAnyEncoder('builtin:drawigs', null), () => findHead('builtin:drawigs')]) {
    const error = await t.throwsAsync(ask, { instanceOf: UserError, message: /unknown weights .*'builtin:drawigs'/ });
    t.like((error as UserError).advice, { expected: `one of ${NAME}`, remedy: `did you mean '${NAME}'?` });
  }
});

test('the package holds them, with their card', (t) => {
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
  t.true(files.includes('weights/drawings'));
  t.is(builtinWeights(NAME), join(ROOT, 'weights', 'drawings', 'model.safetensors'));
  const card = readFileSync(join(ROOT, 'weights', 'drawings', 'README.md'), 'utf8');
  for (const part of ['Apache-2.0', 'OFL-1.1', 'CC-BY-3.0', 'What it is not good for', '# ViT'])
    t.true(card.includes(part), part);
});

let expected: Float32Array;
test.before(async () => {
  expected = await featuresBy(await startEngine('cpu', { threads: 1 }));
});

testOnEngines(test, engines, 'their features are those of plain JavaScript', async (t, engine) => {
  const difference = relativeDifference(await featuresBy(engine), expected);
  t.true(difference < 1e-5, `${difference}`);
});

/** The features of the pictures, [n, L D]. */
async function featuresBy(engine: Engine): Promise<Float32Array> {
  const network = await loadNetwork(NAME);
  const prepared = prepareFeatures(engine, network, PICTURES.length);
  const features = await prepared.compute(toNormalised(PICTURES));
  prepared.dispose();
  network.dispose();
  return features.slice();
}
