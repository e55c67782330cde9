import test, { type ExecutionContext } from 'ava';
import { RandomStream } from '../../core/base/random.js';
import type { Engine } from '../../core/engine/contract.js';
import { tf } from '../../core/engine/tf.js';
import { type FeatureNetwork, loadNetwork, randomNetwork } from '../../core/eval/network.js';
import { prepareAttention } from '../../core/eval/prepare-features.js';
import { createVit } from '../../core/nn/backbone.js';
import type { VitSize } from '../../core/nn/sizes.js';
import { norm, project } from '../../core/nn/vit.js';
import { findEngines, testOnEngines } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';

const engines = (await findEngines()).filter(({ name }) => ['onnx', 'wasm', 'openvino'].includes(name));
const [IMAGES, PATCHES, DIM, HEADS] = [3, 16, 16, 2];
const BLOCK = 'blocks.4';

function noise(): Float32Array {
  const stream = new RandomStream(1, 'images');
  return Float32Array.from({ length: IMAGES * 16 * 16 * 3 }, () => stream.normal());
}

/** softmax(q kᵀ / √(D/h)) in the mean over heads and queries, number by number, [B, N] of tokens [B, N', 3D]. */
function expected(qkv: Float32Array, tokens: number, queries: number): number[] {
  const width = DIM / HEADS;
  const at = (image: number, token: number, part: number, head: number, i: number) =>
    qkv[((image * tokens + token) * 3 + part) * DIM + head * width + i];
  const sums: number[] = Array(IMAGES * tokens).fill(0);
  for (let image = 0; image < IMAGES; image++) {
    for (let head = 0; head < HEADS; head++) {
      for (let query = 0; query < queries; query++) {
        const scores = Array.from({ length: tokens }, (_, key) => {
          let sum = 0;
          for (let i = 0; i < width; i++) sum += at(image, query, 0, head, i) * at(image, key, 1, head, i);
          return Math.exp(sum / Math.sqrt(width));
        });
        const total = scores.reduce((all, score) => all + score, 0);
        for (const [key, score] of scores.entries()) sums[image * tokens + key] += score / total / HEADS / queries;
      }
    }
  }
  return sums;
}

async function compare(t: ExecutionContext, engine: Engine, network: FeatureNetwork, size: VitSize) {
  const isClass = size.classToken === true;
  const tokens = PATCHES + (isClass ? 1 : 0);
  const prepared = prepareAttention(engine, network, IMAGES);
  const found = (await prepared?.compute(noise())) ?? new Float32Array();
  prepared?.dispose();
  const backbone = createVit({ ...network, encoder: size });
  const qkv = tf.tidy(() => {
    const [before] = backbone.blockOutputs(network.encoder, tf.tensor4d(noise(), [IMAGES, 16, 16, 3]), 2);
    return project(network.encoder, `${BLOCK}.attn.qkv`, norm(network.encoder, `${BLOCK}.norm1`, before));
  });
  const wanted = expected((await qkv.data()) as Float32Array, tokens, isClass ? 1 : tokens);
  backbone.dispose();
  qkv.dispose();
  t.is(found.length, IMAGES * PATCHES);
  for (let image = 0; image < IMAGES; image++) {
    for (let patch = 0; patch < PATCHES; patch++) {
      const value = wanted[image * tokens + patch + (isClass ? 1 : 0)];
      t.true(Math.abs(found[image * PATCHES + patch] - value) < 1e-5, `image ${image}, patch ${patch}`);
    }
  }
}

testOnEngines(test, engines, 'attention of the last block is that of its queries and keys', async (t, engine) => {
  const network = await loadNetwork(await smallCheckpoint(t));
  const size = SMALL_SIZE.encoder;
  await compare(t, engine, network, size);
  const withToken = { ...size, classToken: true };
  const other = randomNetwork({ ...network, size: withToken }, 1);
  await compare(t, engine, other, withToken);
  t.is(prepareAttention(engine, { ...network, size: { ...size, depth: 1 } }), null);
  network.dispose();
  other.dispose();
});
