import test from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { meanPatches } from '../../core/methods/batch.js';
import { decoderPass, encoderPass, stepOperations } from '../../core/nn/cost.js';
import { initialNetworks } from '../../core/train/state.js';
import { methodOf } from '../helpers/method.js';
import { contextOf, noiseBatch, prepareBatchGradients } from '../helpers/training.js';

test("a small model's operations are those counted by hand", (t) => {
  // 4 patches of 48 numbers; one block of width 4 in each network.
  const size = { dim: 4, depth: 1, heads: 1, mlpRatio: 4 };
  // Embedding 2·4·48·4; queries, keys and values 2·4·4·12; attention 2·(2·4·4·4); projection 2·4·4·4; MLP 2·(2·4·4·16).
  const target = 1536 + 384 + 256 + 128 + 1024;
  const embedding = 768; // of two patches
  const contextBlock = 192 + 64 + 64 + 512;
  // Keys and values of three tokens, attention and all after it of one; before and after the block the linear layers.
  const predictor = 64 + (288 + 48 + 32 + 256) + 32;
  const whole = encoderPass(size, 4, { patches: 4, trained: false });
  const context = encoderPass(size, 4, { patches: 2, trained: true });
  const prediction = decoderPass(size, size, { visible: 2, masked: 1, outputs: 4 });
  t.is(stepOperations([whole, context, prediction]), target + 2 * embedding + 3 * (contextBlock + predictor));
  t.is(stepOperations([{ ...context, trained: false }]), embedding + contextBlock);
});

/** Grid and width of an encoder that no other side of the networks equals. */
const SIZES = { imageSize: 20, patchSize: 5, dim: 12, depth: 3, heads: 3 };

for (const own of [
  { method: 'ijepa', contextBlocks: 2, targetBlocks: 3, loss: 'smooth-l1', predictorDim: 24, predictorDepth: 2 },
  { method: 'mae', decoderDim: 24, decoderDepth: 2 },
  { method: 'data2vec' },
  { method: 'lejepa', projectorWidth: 20, projectorDim: 6 },
  { method: 'dino', localCrops: 3, localImageSize: 10, headDim: 24, bottleneckDim: 8, outputDim: 32 },
  { method: 'cae', regressorDepth: 3, decoderDepth: 2, maskRatio: 0.4 },
  { method: 'msn', localCrops: 3, localImageSize: 10, headDim: 24, projectionDim: 8, prototypes: 32 },
  { method: 'simclr', headDim: 20, outputDim: 6 },
  { method: 'byol', projectorWidth: 20, projectorDim: 6 },
  { method: 'ibot', localCrops: 3, localImageSize: 10, headDim: 24, bottleneckDim: 8, outputDim: 32 },
]) {
  test.serial(`the count is that of the products that a step of ${own.method} does`, async (t) => {
    const engine = await startEngine('wasm');
    const { method, options, definition } = methodOf({ ...SIZES, ...own });
    const images = 2;
    const batch = noiseBatch({ method, options }, images);
    const compute = prepareBatchGradients(engine, { method, options });
    const networks = initialNetworks(method, 0);
    const { kernels } = await tf.profile(async () => {
      await compute(networks, batch, 1, contextOf(method));
      return tf.scalar(0);
    });
    const products = kernels
      .filter(({ name }) => name.includes('MatMul'))
      .map(({ inputShapes, outputShapes }) => [...inputShapes, outputShapes[0]] as [number[], number[], number[]])
      .filter(([left, right, output]) => isCounted(left, right, output));
    t.true(products.length > 50);
    const counted = products.reduce((sum, [left, , output]) => {
      const rows = output.at(-2) as number;
      const inner = (left.at(-1) === rows ? left.at(-2) : left.at(-1)) as number;
      return sum + 2 * inner * output.reduce((all, side) => all * side, 1);
    }, 0);
    t.is(counted, images * stepOperations(definition.passes(options, meanPatches(batch.groups))));
  });
}

/**
 * Left out: sums over rows, which are done as products; the gradient by patches, which nobody needs; the choice of relative
 * positions by constant matrices of 16 pairs and 7 differences; what a regularizer does, SIGReg on 256 directions; and the
 * similarities of SimCLR's four views.
 */
function isCounted(left: readonly number[], right: readonly number[], output: readonly number[]): boolean {
  const isSum = output.at(-2) === 1;
  const isByPatches =
    output.at(-1) === SIZES.patchSize ** 2 * 3 && left.at(-1) === SIZES.dim && right.at(-2) === SIZES.dim;
  const isOnDirections = left.at(-1) === 256 || output.at(-1) === 256;
  const isOfSimilarities = left.join() === '4,4' || output.join() === '4,4';
  return !isSum && !isByPatches && !isOnDirections && !isOfSimilarities && left.join() !== '16,7';
}
