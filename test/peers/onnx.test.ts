import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { featuresOf, loadEncoder } from '../../core/eval/encoder.js';
import { loadNetwork, transformerBackbone } from '../../core/eval/network.js';
import { ONNX_PRECISIONS } from '../../core/exchange/onnx/layers.js';
import { writeOnnx } from '../../core/exchange/onnx/write.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';
import { peerTest, runPeer } from '../helpers/peer.js';
import { softPicture } from '../helpers/pictures.js';

/** Largest differences, relative to the largest value. */
const TOLERANCES = { fp32: 1e-5, fp16: 1e-2, q8: 5e-2 };
const { imageSize, encoder: PLAIN } = SMALL_SIZE;
const WITH_ALL = { ...PLAIN, classToken: true, layerScale: true, relativePositions: true };

for (const precision of ONNX_PRECISIONS) {
  for (const [what, encoder, largestFile] of [
    ['', PLAIN, undefined],
    [', with its weights beside it', PLAIN, 40_000],
    [' of an encoder with all parts', WITH_ALL, undefined],
  ] as const) {
    peerTest('onnxruntime', `a model in ${precision}${what} is right and gives our tokens`, async (t) => {
      await startEngine('wasm');
      const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder });
      const folder = await temporaryFolder(t);
      const options = { precision, ...(largestFile !== undefined && { largestFile }) };
      const { files } = await writeOnnx(folder, await readEncoder(checkpoint, null), options);
      const stream = new RandomStream(0, 'peers');
      const data = Float32Array.from({ length: 3 * 3 * imageSize ** 2 }, () => stream.normal());
      const [images, out] = [join(folder, 'images.safetensors'), join(folder, 'out.safetensors')];
      await writeSafetensors(images, new Map([['images', { shape: [3, 3, imageSize, imageSize], data }]]), {});
      await runPeer('run_onnx.py', files[0] as string, images, out);
      const { tensors } = await readSafetensors(out);
      const given = (name: string) => tensors.get(name)?.data as Float32Array;
      const expected = await tokensOf(checkpoint, data);
      t.true(relativeDifference(given('tokens'), expected) < TOLERANCES[precision]);
      const first = expected.subarray(0, expected.length / 3);
      t.true(relativeDifference(given('alone'), first) < TOLERANCES[precision]);
    });
  }

  transformersTest(`transformers.js gives our features of a picture in ${precision}`, async (t, { pipeline }) => {
    const checkpoint = await smallCheckpoint(t);
    const folder = await temporaryFolder(t);
    await FORMS.onnx.write(await readEncoder(checkpoint, null), folder, { precisions: [precision] });
    const picture = join(folder, 'picture.png');
    const shorter = Math.round((imageSize * 256) / 224); // nothing is to be resized, which libraries do in different ways
    await softPicture(shorter + 4, shorter, 1)
      .png()
      .toFile(picture);
    const extract = await pipeline('image-feature-extraction', folder, { dtype: precision, device: 'cpu' });
    const tokens = await extract(picture);
    t.deepEqual(tokens.dims, [1, (imageSize / SMALL_SIZE.patchSize) ** 2, PLAIN.dim]);
    const encoder = await loadEncoder(checkpoint, { engine: 'wasm' });
    const { rows } = await featuresOf(encoder, [picture]);
    t.true(relativeDifference(tokens.mean(1).data, rows[0] as Float32Array) < TOLERANCES[precision]);
    encoder.dispose();
  });
}

/** What is used of transformers.js. */
interface Transformers {
  env: { allowRemoteModels: boolean };
  pipeline(task: string, model: string, options: object): Promise<(picture: string) => Promise<Tokens>>;
}
interface Tokens {
  dims: number[];
  data: Float32Array;
  mean(axis: number): Tokens;
}

/** A test against transformers.js: skipped where $PEER_TRANSFORMERS does not name a folder in which it is installed. */
function transformersTest(title: string, body: (t: ExecutionContext, library: Transformers) => Promise<void>): void {
  const folder = process.env.PEER_TRANSFORMERS;
  if (folder === undefined) {
    test.skip(`${title} ($PEER_TRANSFORMERS is not set)`, (t) => t.fail());
    return;
  }
  test.serial(title, async (t) => {
    const require = createRequire(join(resolve(folder), 'package.json'));
    const library: Transformers = require('@huggingface/transformers');
    library.env.allowRemoteModels = false;
    await body(t, library);
  });
}

async function tokensOf(checkpoint: string, pixels: Float32Array): Promise<Float32Array> {
  const network = await loadNetwork(checkpoint);
  const backbone = transformerBackbone(network, 'what is tried');
  const images = tf.tensor(pixels, [3, 3, imageSize, imageSize]).transpose([0, 2, 3, 1]);
  const tokens = (await backbone.forward(network.encoder, images).data()) as Float32Array;
  backbone.dispose();
  network.dispose();
  return tokens;
}
