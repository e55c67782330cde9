import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { loadNetwork, randomNetwork } from '../../core/eval/network.js';
import { encoderShapes } from '../../core/nn/parameters.js';
import { interpolatePositions, sincosTable } from '../../core/nn/positions.js';
import { ARCHITECTURES } from '../../core/nn/sizes.js';
import { temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint, smallModel } from '../helpers/features.js';
import { FIXTURES } from '../helpers/paths.js';

test.before(async () => {
  await startEngine('wasm');
});

test('the fingerprint tells weights apart, and nothing else', async (t) => {
  const path = await smallCheckpoint(t);
  const network = await loadNetwork(path, 'target');
  const fingerprint = async (encoder: 'target' | 'context') => (await loadNetwork(path, encoder)).facts.fingerprint;
  t.regex(network.facts.fingerprint, /^[0-9a-f]{64}$/);
  t.is(await fingerprint('target'), network.facts.fingerprint);
  t.not(await fingerprint('context'), network.facts.fingerprint);
  const random = randomNetwork(network, 1);
  t.is(randomNetwork(network, 1).facts.fingerprint, random.facts.fingerprint);
  t.not(randomNetwork(network, 2).facts.fingerprint, random.facts.fingerprint);
  t.like(random.facts, { weights: 'random', method: null, encoder: null, epochs: null, checkpoint: null });
  t.is(random.arch, network.arch);
});

test('networks have the names of the paper where they have one', async (t) => {
  const network = await loadNetwork(await smallCheckpoint(t), 'target');
  t.is(network.arch, 'ViT 16x5/4');
  t.like(network.facts, { weights: 'pretrained', method: 'I-JEPA', encoder: 'target', epochs: 3, pretrainedOn: null });
  const encoder = ARCHITECTURES['vit-tiny'];
  t.is((await loadNetwork(await emptyCheckpoint(t, { ...SMALL_SIZE, encoder }), 'target')).arch, 'ViT-Ti/4');
});

test('what is no checkpoint, or of another architecture, is refused with one message', async (t) => {
  const folder = await temporaryFolder(t);
  const path = await smallCheckpoint(t);
  const { tensors, metadata } = await readSafetensors(path);
  const write = async (name: string, model: string | undefined, drop = '-', extra?: StoredTensor) => {
    const kept = new Map([...tensors].filter(([tensor]) => !tensor.startsWith(drop)));
    if (extra) kept.set('target_encoder.pos_embed', extra);
    await writeSafetensors(join(folder, name), kept, model === undefined ? {} : { ...metadata, model });
    return join(folder, name);
  };
  const shallow = JSON.stringify(smallModel({ ...SMALL_SIZE, encoder: { ...SMALL_SIZE.encoder, depth: 4 } }));
  const positions = { shape: [1, 9, 16], data: new Float32Array(144) };
  const cases: [string, RegExp][] = [
    [join(folder, 'missing.safetensors'), /does not exist/],
    [folder, /there is no checkpoint in the folder/],
    [join(FIXTURES, 'README.md'), /not a safetensors file/],
    [await write('none.safetensors', undefined), /does not tell of which size its images were/],
    [await write('shallow.safetensors', shallow), /no place for the tensor target_encoder\.blocks\.4/],
    [await write('wide.safetensors', metadata.model?.replaceAll(':16', ':32')), /instead of/],
    [
      await write('positions.safetensors', metadata.model, '-', positions),
      /pos_embed is \[1,9,16\] instead of \[1,16,16\]/,
    ],
    [
      await write('context.safetensors', metadata.model, 'target_encoder'),
      /there is no tensor such as target_encoder\.norm\.weight/,
    ],
  ];
  for (const [file, message] of cases) {
    await t.throwsAsync(loadNetwork(file, 'target'), { instanceOf: UserError, message }, file);
  }
});

test('the encoder that is not named is the one by which the method is judged; a wrong name gets those that there are', async (t) => {
  const path = await smallCheckpoint(t);
  t.like((await loadNetwork(path)).facts, { encoder: 'target', isUsualEncoder: true });
  t.like((await loadNetwork(path, 'context')).facts, { encoder: 'context', isUsualEncoder: false });
  await t.throwsAsync(loadNetwork(path, 'contexts'), {
    instanceOf: UserError,
    message: /unknown encoder 'contexts'.*checkpoint\.safetensors/,
  });
});

test('interpolated positions are the table itself at the size of training', (t) => {
  const table = sincosTable(6, 16);
  t.deepEqual(interpolatePositions(table, 6, 6), table);
});

test('positions are interpolated as PyTorch interpolates', (t) => {
  // torch 1.13: F.interpolate(arange(9).reshape(3, 3) ** 2, size=n, mode='bicubic', align_corners=False)
  const table = Float32Array.from({ length: 9 }, (_, index) => index ** 2);
  const golden: Record<number, number[]> = {
    2: [1.43076, 6.52237, 32.39737, 53.18076],
    5: [
      -0.9047, -0.87401, -0.44, 1.07402, 2.21671, 1.26999, 2.31915, 4.44401, 7.64888, 9.81003, 8.328, 11.06801,
      16.00001, 22.01201, 25.86401, 25.10602, 29.53687, 37.276, 46.09514, 51.63799, 37.28871, 42.73803, 52.16801,
      62.678, 69.23932,
    ],
  };
  for (const [grid, expected] of Object.entries(golden)) {
    t.true(relativeDifference(interpolatePositions(table, 3, Number(grid)), expected) < 1e-6);
  }
});

test('features of several columns are interpolated each by itself', (t) => {
  const table = sincosTable(4, 8);
  const whole = interpolatePositions(table, 4, 7);
  for (let column = 0; column < 8; column++) {
    const alone = interpolatePositions(
      table.filter((_, at) => at % 8 === column),
      4,
      7,
    );
    t.deepEqual(
      whole.filter((_, at) => at % 8 === column),
      alone,
    );
  }
});

/** A checkpoint whose weights are all zero. */
async function emptyCheckpoint(t: ExecutionContext, size: typeof SMALL_SIZE): Promise<string> {
  const tensors = Object.entries(encoderShapes(size)).map(([name, shape]): [string, StoredTensor] => [
    `target_encoder.${name}`,
    { shape, data: new Float32Array(shape.reduce((product, side) => product * side, 1)) },
  ]);
  const path = join(await temporaryFolder(t), 'empty.safetensors');
  await writeSafetensors(path, new Map(tensors), { model: JSON.stringify(smallModel(size)) });
  return path;
}
