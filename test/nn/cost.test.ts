import test from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { decoderPass, encoderPass, forwardOperations, stepOperations } from '../../core/nn/cost.js';
import { meanPatches } from '../../core/train/parts.js';
import { initialNetworks } from '../../core/train/state.js';
import { methodOf } from '../helpers/method.js';
import { noiseBatch, prepareBatchGradients } from '../helpers/training.js';

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
  t.is(forwardOperations([context]), embedding + contextBlock);
});

test.serial('the count is that of the products that a step does', async (t) => {
  const engine = await startEngine('wasm');
  const sizes = { imageSize: 20, patchSize: 5, dim: 12, depth: 3, heads: 3, predictorDim: 24, predictorDepth: 2 };
  const { method, options, definition } = methodOf({ ...sizes, contextBlocks: 2, targetBlocks: 3, loss: 'smooth-l1' });
  const images = 2;
  const batch = noiseBatch({ method, options }, images);
  const compute = prepareBatchGradients(engine, { method, options });
  const networks = initialNetworks(method, 0);
  const { kernels } = await tf.profile(async () => {
    await compute(networks, batch);
    return tf.scalar(0);
  });
  // Left out: sums over rows, which are done as products, and the gradient by patches, which nobody needs.
  const { context = 0, ...others } = meanPatches(batch.groups);
  const patchRows = images * 2 * context;
  const isCounted = ([rows, columns]: number[]) =>
    rows !== 1 && !(rows === patchRows && columns === sizes.patchSize ** 2 * 3);
  const products = kernels.filter(
    ({ name, outputShapes }) => name.includes('MatMul') && isCounted(outputShapes[0] as number[]),
  );
  t.true(products.length > 50);
  const counted = products.reduce((sum, { inputShapes, outputShapes }) => {
    const [left, output] = [inputShapes[0], outputShapes[0]] as [number[], number[]];
    const rows = output.at(-2) as number;
    const inner = (left.at(-1) === rows ? left.at(-2) : left.at(-1)) as number;
    return sum + 2 * inner * output.reduce((all, side) => all * side, 1);
  }, 0);
  t.is(counted, images * stepOperations(definition.passes(options, { context, ...others })));
});
