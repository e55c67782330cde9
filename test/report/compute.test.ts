import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { createIjepa, initialWeights } from '../../core/methods/ijepa/model.js';
import { contextOperations, stepOperations } from '../../core/nn/operations.js';
import type { ModelSize } from '../../core/nn/sizes.js';
import { runCompute } from '../../core/report/compute.js';
import { prepareObjective } from '../../core/train/objective.js';
import { ijepa, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { objectiveOf } from '../helpers/objective.js';

/** 4 patches of 48 numbers; one block of width 4 in each network. */
const TINY: ModelSize = {
  imageSize: 8,
  patchSize: 4,
  encoder: { dim: 4, depth: 1, heads: 1, mlpRatio: 4 },
  predictor: { dim: 4, depth: 1, heads: 1, mlpRatio: 4 },
};

test("a small model's operations are those counted by hand", (t) => {
  // Embedding 2·4·48·4; queries, keys and values 2·4·4·12; attention 2·(2·4·4·4); projection 2·4·4·4; MLP 2·(2·4·4·16).
  const target = 1536 + 384 + 256 + 128 + 1024;
  const embedding = 768; // of two patches
  const contextBlock = 192 + 64 + 64 + 512;
  // Keys and values of three tokens, attention and all after it of one; before and after the block the linear layers.
  const predictor = 64 + (288 + 48 + 32 + 256) + 32;
  t.is(
    stepOperations(TINY, { contexts: 1, contextPatches: 2, targets: 1, targetPatches: 1 }),
    target + 2 * embedding + 3 * (contextBlock + predictor),
  );
  t.is(contextOperations(TINY, { contexts: 1, contextPatches: 2 }), embedding + contextBlock);
});

test.serial('the count is that of the products that a step does', async (t) => {
  const size: ModelSize = {
    imageSize: 20,
    patchSize: 5,
    encoder: { dim: 12, depth: 3, heads: 3, mlpRatio: 4 },
    predictor: { dim: 24, depth: 2, heads: 3, mlpRatio: 4 },
  };
  const tokens = { contexts: 2, contextPatches: 7, targets: 3, targetPatches: 3 };
  const images = 2;
  const engine = await startEngine('wasm');
  const model = createIjepa(size);
  const objective = objectiveOf('smooth-l1', 'none', images);
  const compute = prepareObjective(engine, model, objective);
  const masks = (count: number, kept: number) => ({
    masks: count,
    images,
    tokens: kept,
    indices: Int32Array.from({ length: count * images * kept }, (_, at) => at % kept),
  });
  const batch = {
    images: new Float32Array(images * size.imageSize ** 2 * 3).fill(0.5),
    masks: [
      {
        context: masks(tokens.contexts, tokens.contextPatches),
        targets: masks(tokens.targets, tokens.targetPatches),
      },
    ],
  };
  const weights = initialWeights(size, 0, 'scaled');
  const { kernels } = await tf.profile(async () => {
    await compute(weights, batch, 1);
    return tf.scalar(0);
  });
  // Left out: sums over rows, which are done as products, and the gradient by patches, which nobody needs.
  const patchRows = images * tokens.contexts * tokens.contextPatches;
  const isCounted = ([rows, columns]: number[]) =>
    rows !== 1 && !(rows === patchRows && columns === size.patchSize ** 2 * 3);
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
  t.is(counted, images * stepOperations(size, tokens));
});

test('the compute of a run is the sum over the steps of its log', async (t) => {
  const folder = join(await temporaryFolder(t), 'run');
  const run = await ijepa(['pretrain', ...SMALLEST, '--epochs', '2', '--out', folder]);
  t.is(run.code, 0, run.stderr);
  const log = join(folder, 'log.jsonl');
  const rows = (await readFile(log, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(rows.length, 12);
  const size: ModelSize = {
    imageSize: 16,
    patchSize: 4,
    encoder: { dim: 16, depth: 1, heads: 2, mlpRatio: 4 },
    predictor: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
  };
  const flopsOf = ({ contextPatches, targetPatches }: { contextPatches: number; targetPatches: number }) =>
    8 * stepOperations(size, { contexts: 1, contextPatches, targets: 4, targetPatches });
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

  const whole = await runCompute(folder);
  t.is(whole?.trainingFlops, total(rows.map(flopsOf)));
  const hours = total(rows.map(({ seconds }) => seconds / 3600));
  t.true(hours > 0);
  t.true(Math.abs((whole?.deviceHours ?? 0) - hours) < 1e-9 * hours + 1e-15);
  const half = await runCompute(folder, 1);
  t.is(half?.trainingFlops, total(rows.slice(0, 6).map(flopsOf)));

  await writeFile(
    log,
    rows.filter((_, at) => at !== 3).map((row) => `${JSON.stringify(row)}\n`),
  );
  t.is(await runCompute(folder), null, 'a step is missing');
  await writeFile(
    log,
    rows.map((row) => `${JSON.stringify({ ...row, seconds: null, imagesPerSecond: 0 })}\n`).join(''),
  );
  t.is(await runCompute(folder), null, 'a time is not known');
});

test('what is no run has no compute', async (t) => {
  t.is(await runCompute(await temporaryFolder(t)), null);
});
