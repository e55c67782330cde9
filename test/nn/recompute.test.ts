import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import type { OnnxBackend } from '../../core/engine/onnx/backend.js';
import { sizeOf, type Value } from '../../core/engine/onnx/graph.js';
import { analyse } from '../../core/engine/onnx/structure.js';
import { recomputing } from '../../core/engine/recompute.js';
import { startEngine } from '../../core/engine/start.js';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import { createVit } from '../../core/nn/backbone.js';
import { encoderShapes } from '../../core/nn/parameters.js';
import type { VitSize } from '../../core/nn/sizes.js';
import { type BlockOptions, transformerBlocks } from '../../core/nn/vit.js';
import { initialNetworks } from '../../core/train/state.js';
import {
  findEngines,
  firstOf,
  relativeDifference,
  testOnEngines,
  withoutCpu,
  withoutOpenvino,
} from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { contextOf, noiseBatch, numbersOf, prepareBatchGradients } from '../helpers/training.js';

/*
 * Blocks that are computed once more for their gradients (Chen et al. 2016): the same bits in less memory.
 */
const engines = withoutCpu(await findEngines());
const others = withoutOpenvino(engines);
const testOnOnnx = engines.some(({ name, present }) => name === 'onnx' && present) ? test.serial : test.serial.skip;
const SIZE: VitSize = { dim: 8, depth: 4, heads: 2, mlpRatio: 4, layerScale: true };
const [IMAGES, TOKENS] = [3, 5];

/** A network's parameters, and what its blocks see. */
function drawnInputs(size = SIZE) {
  const stream = new RandomStream(0, 'recompute');
  const draw = (shape: readonly number[]) => {
    const values = Float32Array.from({ length: sizeOf(shape) }, () => 0.5 * stream.normal());
    return tf.tensor(values, [...shape]);
  };
  const shapes = encoderShapes({ imageSize: 8, patchSize: 4, encoder: size });
  const names = Object.keys(shapes).filter((name) => name.startsWith('blocks.'));
  return {
    tokens: draw([IMAGES, TOKENS, size.dim]),
    bias: draw([size.heads, TOKENS, TOKENS]),
    parameters: Object.fromEntries(names.map((name) => [name, draw(shapes[name] as readonly number[])])),
  };
}

/** Σ y² over all outputs of the blocks, and its gradients by tokens, bias and parameters, in this order. */
function squaresAndGradients(
  { tokens, bias, parameters }: ReturnType<typeof drawnInputs>,
  { hasBias = false, ...options }: Omit<BlockOptions, 'bias'> & { hasBias?: boolean },
  recompute: boolean,
  size = SIZE,
): Tensor[] {
  const names = Object.keys(parameters);
  const { value, grads } = tf.valueAndGrads((x: Tensor, ...others: Tensor[]) => {
    const own = Object.fromEntries(names.map((name, at) => [name, others[at] as Tensor]));
    const shared = hasBias ? others[names.length] : undefined;
    const outputs = recomputing(recompute, () =>
      transformerBlocks(own, 'blocks', size, x, { ...options, bias: shared }),
    );
    return tf.addN(outputs.map((y) => y.square().sum())) as Scalar;
  })([tokens, ...Object.values(parameters), ...(hasBias ? [bias] : [])]);
  return [value, ...grads];
}

for (const [what, options] of [
  ['the last output', {}],
  ['three outputs and a bias that all blocks share', { taps: 3, hasBias: true }],
  ['the last tokens of the last block', { queryOffset: 2 }],
] as const) {
  testOnEngines(test, others, `blocks that are recomputed give the same bits: ${what}`, async (t, engine) => {
    const inputs = drawnInputs();
    const results: Float32Array[] = [];
    for (const recompute of [false, true]) {
      const compute = engine.compile((given: typeof inputs) =>
        tf.tidy(() => squaresAndGradients(given, options, recompute)),
      );
      const before = tf.memory().numTensors;
      const all = await compute(inputs);
      results.push(await numbersOf({ all: Object.fromEntries(all.entries()) }));
      tf.dispose(all);
      t.is(tf.memory().numTensors - before, all.length + 1, 'but for what the numbers were read from');
    }
    t.true(results[0]?.every(Number.isFinite) && results[0].some((value) => value !== 0));
    t.deepEqual(results[1], results[0]);
  });
}

const TRAINED = { imageSize: 16, patchSize: 4, dim: 8, depth: 2, heads: 2 };
for (const flags of [
  { method: 'ijepa', predictorDim: 8, predictorDepth: 2, regularizer: 'vicreg' },
  { method: 'mae', decoderDim: 8, decoderDepth: 2 },
  { method: 'data2vec', layerScale: 0.3 },
  { method: 'lejepa', projectorWidth: 8, projectorDim: 4 },
  { method: 'dino', localCrops: 2, headDim: 8, bottleneckDim: 8, outputDim: 16 },
  { method: 'cae', regressorDepth: 2, decoderDepth: 1 },
  { method: 'msn', localCrops: 2, headDim: 8, projectionDim: 8, prototypes: 16 },
  { method: 'byol', projectorWidth: 8, projectorDim: 4 },
  { method: 'ibot', localCrops: 2, headDim: 8, bottleneckDim: 8, outputDim: 16 },
]) {
  testOnEngines(
    test,
    flags.method === 'ijepa' ? engines : firstOf(engines),
    `loss and gradients of ${flags.method} of a batch in parts are the same`,
    async (t, engine) => {
      const made = methodOf({ ...TRAINED, ...flags });
      const networks = initialNetworks(made.method, 0);
      const results: Float32Array[] = [];
      for (const recompute of [false, true]) {
        const compute = prepareBatchGradients(engine, made, 2, recompute);
        const { loss, gradients } = await compute(networks, noiseBatch(made, 5), 1, contextOf(made.method));
        results.push(await numbersOf({ ...gradients, loss: { loss } }));
      }
      const [plain, recomputed] = results as [Float32Array, Float32Array];
      // OpenVINO joins operators in another way where they are computed twice.
      if (engine.name === 'openvino') t.true(relativeDifference(recomputed, plain) < 1e-6);
      else t.deepEqual(recomputed, plain);
    },
  );
}

/** The most bytes that a graph's values take while its nodes run in their order; other shapes of a value are the value. */
function peakBytes(values: readonly Value[]): number {
  const { nodes, outputs } = analyse(values);
  const owner = (value: Value): Value =>
    value.node?.operator === 'Reshape' ? owner(value.node.inputs[0] as Value) : value;
  const lastUse = new Map<Value, number>();
  for (const [at, node] of nodes.entries()) {
    for (const value of [...node.inputs, ...node.outputs]) if (value) lastUse.set(owner(value), at);
  }
  for (const output of outputs) lastUse.set(owner(output), nodes.length);
  let [live, peak] = [0, 0];
  for (const [at, { operator, inputs, outputs: made }] of nodes.entries()) {
    if (operator !== 'Reshape') for (const { shape } of made) live += 4 * sizeOf(shape);
    peak = Math.max(peak, live);
    const used = [...inputs, ...made].flatMap((value) => (value?.node ? owner(value) : []));
    for (const value of new Set(used)) if (value.node && lastUse.get(value) === at) live -= 4 * sizeOf(value.shape);
  }
  return peak;
}

testOnOnnx('a recorded graph keeps the inputs of blocks that are recomputed, and one block at a time', async (t) => {
  await startEngine('onnx');
  const backend = tf.backend() as OnnxBackend;
  const peakOf = (depth: number, recompute: boolean) =>
    tf.tidy(() => {
      const size = { ...SIZE, depth };
      const all = squaresAndGradients(drawnInputs(size), {}, recompute, size);
      const gradients = all.reduce((sum, { size }) => sum + 4 * size, 0);
      // Any order of what is asked for, even the gradients of the first block before those of the last.
      return [all, all.toReversed()].map((some) => peakBytes(some.map((each) => backend.recorded(each))) - gradients);
    });
  const row = 4 * IMAGES * TOKENS * SIZE.dim;
  for (const [at, kept] of peakOf(12, false).entries()) {
    const recomputed = peakOf(12, true)[at] as number;
    t.true(recomputed < kept / 3, `${recomputed} of ${kept} bytes`);
  }
  const [first, second] = [peakOf(12, true), peakOf(24, true)];
  for (const [at, peak] of second.entries())
    t.true(peak - (first[at] as number) <= 12 * row, `${peak - (first[at] as number)}`);
});

testOnOnnx('without gradients nothing is computed twice', async (t) => {
  await startEngine('onnx');
  const backend = tf.backend() as OnnxBackend;
  const vit = createVit({ imageSize: 8, patchSize: 4, encoder: { ...SIZE, relativePositions: true } });
  const parameters = Object.fromEntries(Object.entries(vit.shapes).map(([name, shape]) => [name, tf.ones([...shape])]));
  const [kept, recomputed] = [false, true].map((recompute) => {
    const features = recomputing(recompute, () => vit.features(parameters, tf.ones([2, 8, 8, 3]), 2));
    return analyse([backend.recorded(features)]).key;
  });
  t.is(recomputed, kept);
});
