import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { linear } from '../../core/engine/functions.js';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import { type Backbone, createVit } from '../../core/nn/backbone.js';
import { predict } from '../../core/nn/masked-decoder.js';
import { decoderShapes, type Parameters, RELATIVE_TABLE } from '../../core/nn/parameters.js';
import { axisDifferences, interpolatePositions, relativeBias, sincosPositions } from '../../core/nn/positions.js';
import type { VitSize } from '../../core/nn/sizes.js';
import { maskTensors } from '../../core/nn/tokens.js';
import { findEngines, firstOf, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';

/*
 * The encoders of MAE and data2vec (fixtures/mae, fixtures/data2vec): class token, layer scale, replaced patches, relative
 * positions.
 */
const engines = await findEngines();
const FORWARD = 2e-6;
const GRADIENT = 1e-5;
/** Everything that an encoder can have. */
const ALL = { classToken: true, layerScale: true, relativePositions: true };

interface Case {
  masked: number[][];
  layerScale: boolean;
  sharedRelativePositions: boolean;
}

type Sizes = Pick<VitSize, 'dim' | 'depth' | 'heads'>;

interface Settings {
  imageSize: number;
  patchSize: number;
  encoder: Sizes;
}

testOnEngines(test, engines, "an encoder with a class token that sees some patches gives MAE's values", async (t) => {
  const { golden, vit, keep } = await mae();
  const latent = vit.forward(golden.parameters('weights.', vit.shapes), golden.tensor('images'), { keep });
  await golden.near(t, latent, 'latent', FORWARD);
});

testOnEngines(test, engines, "a decoder whose context has a class token gives MAE's predictions", async (t) => {
  const { golden, keep, masksOf } = await mae();
  const { decoder, patchSize, encoder, masked } = golden.settings;
  const official = decoderShapes(encoder.dim, { ...decoder, mlpRatio: 4 }, 3 * patchSize ** 2);
  const parameters = Object.entries(official).map(([name, shape]) => {
    const known = name.replace('predictor_proj', 'decoder_pred').replace('predictor_', 'decoder_');
    return [name, golden.parameters('weights.', { [known]: shape })[known] as Tensor] as const;
  });
  const predicted = predict(
    Object.fromEntries(parameters),
    { ...decoder, mlpRatio: 4 },
    golden.tensor('latent'),
    sincosPositions(4, decoder.dim),
    keep,
    masksOf(masked),
  );
  await golden.near(t, predicted, 'predictions', FORWARD);
});

/** One case has all that is computed. */
const enginesOf = (name: string) => (name === 'paper' ? engines : firstOf(engines));

for (const name of ['plain', 'paper']) {
  testOnEngines(
    test,
    enginesOf(name),
    `an encoder with replaced patches gives the values of data2vec, ${name}`,
    async (t) => {
      const { golden, vit, student, images, replace } = await data2vec(name);
      await golden.near(t, vit.forward(student, images, { replace }), `${name}.features`, FORWARD);
      const teacher = golden.parameters(`${name}.teacher.`, vit.shapes);
      const outputs = vit.blockOutputs(teacher, images, vit.encoder.depth);
      await golden.near(t, tf.stack(outputs), `${name}.block_outputs`, FORWARD);
      const [last] = vit.blockOutputs(teacher, images, 1) as [Tensor];
      t.deepEqual(await last.array(), await (outputs.at(-1) as Tensor).array());
    },
  );

  testOnEngines(
    test,
    enginesOf(name),
    `an encoder with replaced patches has the gradients of data2vec, ${name}`,
    async (t) => {
      const { golden, vit, student, images, replace, masked } = await data2vec(name);
      const { where } = replace;
      const targets = tf.buffer([masked.length, vit.patchCount, vit.encoder.dim]);
      const rows = (await golden.tensor(`${name}.targets`).array()) as number[][];
      const places = masked.flatMap((patches, image) => patches.map((patch) => [image, patch] as const));
      for (const [at, [image, patch]] of places.entries()) {
        for (const [feature, value] of (rows[at] as number[]).entries()) targets.set(value, image, patch, feature);
      }
      const target = targets.toTensor();
      const head = [
        golden.tensor(`${name}.student.lm_head.weight`),
        golden.tensor(`${name}.student.lm_head.bias`),
      ] as const;
      // Smooth L1 with beta 2 over the masked patches.
      const loss = (parameters: Parameters, by: Tensor): Scalar => {
        const patches = tf.slice(vit.forward(parameters, images, { replace: { by, where } }), [0, 1, 0], [-1, -1, -1]);
        const distance = linear(patches, ...head)
          .sub(target)
          .mul(where)
          .abs();
        const quadratic = distance.minimum(2);
        const smooth = quadratic.square().div(4).add(distance.sub(quadratic));
        return smooth.sum().div(rows.length * vit.encoder.dim);
      };
      const names = Object.keys(student);
      const gradients = tf.grads((by, ...values) =>
        loss(Object.fromEntries(names.map((name, at) => [name, values[at] as Tensor])), by as Tensor),
      )([replace.by, ...Object.values(student)]);
      for (const [at, gradient] of gradients.entries()) {
        await golden.near(t, gradient, `${name}.gradients.${['mask_token', ...names][at]}`, GRADIENT);
      }
    },
  );
}

testOnEngines(test, engines, 'relative positions choose the entries that data2vec chooses, to the bit', async (t) => {
  const { golden, student } = await data2vec('paper');
  const bias = relativeBias(student[RELATIVE_TABLE] as Tensor, axisDifferences(4, 4));
  await golden.near(t, bias, 'paper.relative_position_bias', 0);
});

testOnEngines(test, engines, 'relative positions of a larger grid are those of the interpolated table', async (t) => {
  const { student } = await data2vec('paper');
  const table = student[RELATIVE_TABLE] as Tensor; // [7 7 + 3, h]
  const values = (await table.slice(0, 49).data()) as Float32Array;
  const larger = tf.concat([tf.tensor2d(interpolatePositions(values, 7, 15), [225, 2]), table.slice(49)], 0);
  const expected = await relativeBias(larger, axisDifferences(8, 8)).data();
  t.true(relativeDifference(await relativeBias(table, axisDifferences(8, 4)).data(), expected) < 1e-6);
});

testOnEngines(
  test,
  engines,
  'features are means over patches of the last blocks, without the class token',
  async (t) => {
    const { vit, student, images } = await data2vec('paper');
    const features = vit.features(student, images, 2);
    t.deepEqual(features.shape, [3, 2 * vit.encoder.dim]);
    const whole = vit.forward(student, images);
    const pooled = whole.slice([0, 1, 0]).mean(1);
    t.true(relativeDifference(await features.slice([0, vit.encoder.dim]).data(), await pooled.data()) < 1e-6);
  },
);

testOnEngines(test, engines, 'features are class tokens of the last blocks where an encoder says so', async (t) => {
  const encoder = { ...ALL, classFeatures: true, dim: 8, depth: 2, heads: 2, mlpRatio: 4 };
  const vit = createVit({ imageSize: 8, patchSize: 4, encoder });
  const [parameters, images] = [randomParameters(vit), randomTensor('images', [3, 8, 8, 3])];
  const features = vit.features(parameters, images, 2);
  t.deepEqual(features.shape, [3, 16]);
  const ofLast = vit.forward(parameters, images).slice([0, 0, 0], [-1, 1, -1]);
  t.true(relativeDifference(await features.slice([0, 8]).data(), await ofLast.data()) < 1e-6);
});

const cutting = engines.filter(({ name }) => name === 'onnx');
testOnEngines(test, cutting, 'a batch that is computed in tiles gives the same, and the same gradients', async (t) => {
  // A hidden layer of 2048 x 16 numbers an image: 120 images are cut into 4 tiles.
  const encoder: VitSize = { ...ALL, dim: 8, depth: 1, heads: 2, mlpRatio: 256 };
  const vit = createVit({ imageSize: 8, patchSize: 2, encoder });
  const parameters = randomParameters(vit);
  const images = randomTensor('images', [120, 8, 8, 3]);
  const replace = {
    by: randomTensor('by', [1, 1, 8]),
    where: tf.ones([120, 16, 1]).sub(tf.range(0, 16).less(5).reshape([16, 1])),
  };
  const table = parameters[RELATIVE_TABLE] as Tensor;
  const energy = (xs: Tensor, from: number) => (x: Tensor) =>
    vit
      .forward({ ...parameters, [RELATIVE_TABLE]: x }, xs, {
        replace: { ...replace, where: replace.where.slice(from, xs.shape[0] as number) },
      })
      .square()
      .sum() as Scalar;
  const together = tf.valueAndGrad(energy(images, 0))(table);
  const pieces = [0, 40, 80].map((from) => tf.valueAndGrad(energy(images.slice(from, 40), from))(table));
  const total = (of: 'value' | 'grad') => tf.addN(pieces.map((piece) => piece[of]));
  t.true(relativeDifference(await together.value.data(), await total('value').data()) < 1e-5);
  t.true(relativeDifference(await together.grad.data(), await total('grad').data()) < 1e-4);
});

test('an encoder with relative positions does not leave patches out', async (t) => {
  const vit = createVit({ imageSize: 8, patchSize: 4, encoder: { ...ALL, dim: 8, depth: 1, heads: 2, mlpRatio: 4 } });
  const keep = maskTensors({ maskCount: 1, imageCount: 1, tokenCount: 1, patchCount: 4, indices: Int32Array.of(0) });
  const forward = () => vit.forward(randomParameters(vit), tf.zeros([1, 8, 8, 3]), { keep });
  t.throws(forward, { message: /relative positions sees all patches/ });
});

async function mae() {
  const golden = await readGolden<Settings & { decoder: Sizes; kept: number[][]; masked: number[][] }>('mae');
  const { imageSize, patchSize, encoder, kept } = golden.settings;
  const vit = createVit({ imageSize, patchSize, encoder: { ...encoder, mlpRatio: 4, classToken: true } });
  const masksOf = (patches: number[][]) =>
    maskTensors({
      maskCount: 1,
      imageCount: patches.length,
      tokenCount: (patches[0] as number[]).length,
      patchCount: vit.patchCount,
      indices: Int32Array.from(patches.flat()),
    });
  return { golden, vit, masksOf, keep: masksOf(kept) };
}

async function data2vec(name: string) {
  const golden = await readGolden<Settings & { cases: Record<string, Case> }>('data2vec');
  const { imageSize, patchSize, encoder: size, cases } = golden.settings;
  const { masked, layerScale, sharedRelativePositions } = cases[name] as Case;
  const encoder = { ...size, mlpRatio: 4, classToken: true, layerScale, relativePositions: sharedRelativePositions };
  const vit = createVit({ imageSize, patchSize, encoder });
  const ones = masked.map((patches) => Array.from({ length: vit.patchCount }, (_, at) => Number(patches.includes(at))));
  const where = tf.tensor3d(ones.flat(), [masked.length, vit.patchCount, 1]);
  return {
    golden,
    vit,
    masked,
    images: golden.tensor('images'),
    student: golden.parameters(`${name}.student.`, vit.shapes),
    replace: { by: golden.tensor(`${name}.student.mask_token`), where },
  };
}

function randomParameters(vit: Backbone): Parameters {
  return Object.fromEntries(Object.entries(vit.shapes).map(([name, shape]) => [name, randomTensor(name, shape)]));
}

function randomTensor(name: string, shape: readonly number[]): Tensor {
  const stream = new RandomStream(0, name);
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => 0.3 * stream.normal()),
    [...shape],
  );
}
