import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { loadNetwork, transformerBackbone } from '../../core/eval/network.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';
import { peerTest, runPeer } from '../helpers/peer.js';

test.before(async () => {
  await startEngine('wasm');
});

const PLAIN = SMALL_SIZE.encoder;
const CLASSIFIER = {
  weight: Float32Array.from({ length: 3 * PLAIN.dim }, (_, i) => Math.sin(i)),
  bias: Float32Array.of(1, -2, 3),
  classes: ['cat', 'dog', 'bird'],
  transform: 'crop',
  interpolation: 'bicubic',
} as const;
const OURS: readonly [form: 'hf' | 'timm', what: string, encoder: object][] = [
  ['hf', 'I-JEPA', PLAIN],
  ['hf', 'ViT', { ...PLAIN, classToken: true }],
  ['hf', 'Dinov2', { ...PLAIN, classToken: true, layerScale: true }],
  ['timm', 'timm', PLAIN],
  ['timm', 'timm with class token and layer scales', { ...PLAIN, classToken: true, layerScale: true }],
];
for (const [form, what, encoder] of OURS) {
  peerTest(form === 'hf' ? 'transformers' : 'timm', `our export gives the same features as ${what}`, async (t) => {
    const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder: { ...PLAIN, ...encoder } });
    const place = await newPlace(t, SMALL_SIZE.imageSize);
    await mkdir(place.folder);
    await FORMS[form].write(await readEncoder(checkpoint, null), place.folder);
    await runPeer('models.py', 'load', form, place.folder, place.images, place.out);
    await holdsFeatures(t, checkpoint, place);
    await holdsFeatures(t, place.folder, place);
  });
}

for (const [what, encoder] of [
  ['I-JEPA', PLAIN],
  ['Dinov2', { ...PLAIN, classToken: true, layerScale: true }],
] as const) {
  peerTest('transformers', `a head on ${what} gives the same logits there`, async (t) => {
    const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder: { ...PLAIN, ...encoder } });
    const place = await newPlace(t, SMALL_SIZE.imageSize);
    await mkdir(place.folder);
    await FORMS.hf.write(await readEncoder(checkpoint, null), place.folder, { classifier: CLASSIFIER });
    t.is(await runPeer('models.py', 'classify', place.folder, place.images, place.out), 'cat dog bird\n');
    const { features } = await ourFeatures(checkpoint, place);
    const { weight, bias } = CLASSIFIER;
    const width = weight.length / bias.length;
    const expected = Array.from({ length: 2 * bias.length }, (_, at) => {
      const [image, c] = [Math.floor(at / bias.length), at % bias.length];
      return bias[c] + sum(width, (k) => weight[c * width + k] * features[image * width + k]);
    });
    const logits = (await readSafetensors(place.out)).tensors.get('logits')?.data;
    t.true(relativeDifference(logits as Float32Array, expected) < 1e-5);
  });
}

const THEIRS = ['ijepa', 'ijepa-half', 'ijepa-bfloat16', 'ijepa-sharded', 'vit', 'vit_mae', 'dinov2', 'timm'];
for (const kind of THEIRS) {
  peerTest(
    kind === 'timm' ? 'timm' : 'transformers',
    `a folder of ${kind} gives the features that it gives there`,
    async (t) => {
      const place = await newPlace(t, 24);
      await runPeer('models.py', 'make', kind, place.folder, place.images, place.out);
      await holdsFeatures(t, place.folder, place);
    },
  );
}

interface Place {
  folder: string;
  /** Images, normalised: [B, 3, S, S]. */
  images: string;
  /** What the other side made of them. */
  out: string;
}

async function newPlace(t: ExecutionContext, side: number): Promise<Place> {
  const folder = await temporaryFolder(t);
  const stream = new RandomStream(0, 'peers');
  const data = Float32Array.from({ length: 2 * 3 * side * side }, () => stream.normal());
  const images = join(folder, 'images.safetensors');
  await writeSafetensors(images, new Map([['images', { shape: [2, 3, side, side], data }]]), {});
  return { folder: join(folder, 'model'), images, out: join(folder, 'out.safetensors') };
}

/** Our features of the same images are those of the other side, to 1e-5 of the largest. */
async function holdsFeatures(t: ExecutionContext, model: string, place: Place): Promise<void> {
  const { features, tokens } = await ourFeatures(model, place);
  const expected = (await readSafetensors(place.out)).tensors;
  t.true(relativeDifference(features, expected.get('features')?.data as Float32Array) < 1e-5);
  t.true(relativeDifference(tokens, expected.get('tokens')?.data as Float32Array) < 1e-5);
}

async function ourFeatures(model: string, { images }: Place) {
  const network = await loadNetwork(model);
  const given = (await readSafetensors(images)).tensors.get('images');
  if (!given) throw new Error('there are no images');
  const backbone = transformerBackbone(network, 'what is tried');
  const input = tf.transpose(tf.tensor(given.data as Float32Array, [...given.shape]), [0, 2, 3, 1]);
  const features = (await backbone.features(network.encoder, input, 1).data()) as Float32Array;
  const tokens = (await backbone.forward(network.encoder, input).data()) as Float32Array;
  return { features, tokens };
}

function sum(count: number, term: (k: number) => number): number {
  return Array.from({ length: count }, (_, k) => term(k)).reduce((all, value) => all + value, 0);
}
