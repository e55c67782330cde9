import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { metaCheckpoint, metaTree } from '../../core/exchange/meta.js';
import { checkpointTensors, metaOfCheckpoint } from '../../core/exchange/meta-state.js';
import { readTorchFile } from '../../core/exchange/torch/read.js';
import {
  isDictionary,
  isList,
  type TorchDictionary,
  type TorchTree,
  tensorOf,
} from '../../core/exchange/torch/tree.js';
import { writeTorchFile } from '../../core/exchange/torch/write.js';
import { decoderShapes, encoderShapes, type ParameterShapes } from '../../core/nn/parameters.js';
import { ARCHITECTURES } from '../../core/nn/sizes.js';
import { temporaryFolder } from '../helpers/command.js';
import { FIXTURES } from '../helpers/paths.js';
import { loaded } from '../helpers/torch.js';

const SAVED = join(FIXTURES, 'torch', 'meta.pth.tar');
const HEADS = 2;

async function savedTree(): Promise<TorchDictionary> {
  return dictionaryOf(await readTorchFile(SAVED));
}

function dictionaryOf(tree: TorchTree | undefined): TorchDictionary {
  if (!isDictionary(tree)) throw new Error('it is no dictionary');
  return tree;
}

/** An entry of a dictionary in a tree replaced, or removed. */
function changed(tree: TorchDictionary, key: string, name: string, value?: TorchTree): TorchDictionary {
  const part = new Map(dictionaryOf(tree.get(key)));
  if (value === undefined) part.delete(name);
  else part.set(name, value);
  return withEntry(tree, key, part);
}

function withEntry(tree: TorchDictionary, key: string, value: TorchTree): TorchDictionary {
  return new Map([...tree, [key, value]]);
}

test('sizes of a checkpoint of the reference code are read off its tensors', async (t) => {
  const { sizes, epoch, networks, moments } = await metaCheckpoint(SAVED, await savedTree(), HEADS);
  t.deepEqual(sizes, {
    imageSize: 4,
    patchSize: 2,
    encoder: { dim: 8, depth: 2, heads: 2, mlpRatio: 4 },
    predictor: { dim: 4, depth: 1, heads: 2, mlpRatio: 4 },
  });
  const names = {
    encoder: Object.keys(encoderShapes(sizes)),
    predictor: Object.keys(decoderShapes(8, sizes.predictor, 8)),
  };
  t.deepEqual([...networks.target_encoder.keys()], names.encoder);
  t.deepEqual([...networks.predictor.keys()], names.predictor);
  t.is(epoch, 3);
  t.is(moments?.step, 2);
  t.deepEqual([...(moments?.second.encoder.keys() ?? [])].sort(), names.encoder.sort());
});

test('what goes back to the reference code is what came from there', async (t) => {
  const tree = await savedTree();
  const path = join(await temporaryFolder(t), 'x.pth.tar');
  await writeTorchFile(path, metaTree(await metaCheckpoint(SAVED, tree, HEADS)));
  const written = dictionaryOf(await readTorchFile(path));
  const isLearned = ([name]: [string | number, TorchTree]) => !String(name).endsWith('pos_embed');
  for (const name of ['encoder', 'predictor', 'target_encoder']) {
    const [before, after] = [tree, written].map((each) => dictionaryOf(each.get(name)));
    t.deepEqual([...after.keys()], [...before.keys()], 'the same order, which numbers parameters');
    const [learnt, again] = [before, after].map((each) => new Map([...each].filter(isLearned)));
    t.deepEqual(await loaded(again), await loaded(learnt), name);
  }
  const [before, after] = [tree, written].map((each) => dictionaryOf(each.get('opt')));
  t.deepEqual(await loaded(after.get('state') ?? null), await loaded(before.get('state') ?? null));
  const groupsOf = (optimiser: TorchDictionary) => {
    const groups = optimiser.get('param_groups');
    return (isList(groups) ? groups : []).map((group) =>
      ['params', 'lr', 'betas', 'eps', 'weight_decay', 'WD_exclude'].map((key) => dictionaryOf(group).get(key)),
    );
  };
  t.is(groupsOf(after).length, 4);
  t.deepEqual(groupsOf(after), groupsOf(before));
  t.is(written.get('epoch'), 3);
});

test('a checkpoint of this program has the same tensors, and goes back as it came', async (t) => {
  const read = await metaCheckpoint(SAVED, await savedTree(), HEADS);
  const tensors = await checkpointTensors(read);
  const { sizes } = read;
  const trained = { encoder: encoderShapes(sizes), predictor: decoderShapes(8, sizes.predictor, 8) };
  const shapes = { ...trained, target_encoder: trained.encoder };
  const named = (prefix: string, networks: Record<string, ParameterShapes>) =>
    Object.entries(networks).flatMap(([network, own]) =>
      Object.entries(own).map(([name, shape]): [string, string] => [`${prefix}${network}.${name}`, shape.join()]),
    );
  const slots = ['optimizer.first.', 'optimizer.second.'].flatMap((prefix) => named(prefix, trained));
  t.deepEqual(
    new Map([...tensors].map(([name, { shape }]) => [name, shape.join()])),
    new Map([...named('', shapes), ...slots]),
  );
  const again = metaTree(metaOfCheckpoint(tensors, { sizes, epoch: 3, step: 2 }));
  t.deepEqual(await loaded(again), await loaded(metaTree(read)));
});

test('parameters that no gradient has reached start with moments of 0', async (t) => {
  const tree = await savedTree();
  const optimiser = dictionaryOf(tree.get('opt'));
  const states = new Map([...dictionaryOf(optimiser.get('state'))].filter(([key]) => key === 1));
  const read = await metaCheckpoint(SAVED, changed(tree, 'opt', 'state', states), HEADS);
  t.deepEqual([...(read.moments?.first.encoder.keys() ?? [])], ['patch_embed.proj.weight']);
  const tensors = await checkpointTensors(read);
  t.deepEqual(tensors.get('optimizer.second.predictor.predictor_proj.bias')?.data, new Float32Array(8));
  t.true(tensors.get('optimizer.second.encoder.patch_embed.proj.weight')?.data.every((x) => x > 0));
});

test('the heads of the named architectures are known by their widths', async (t) => {
  for (const [name, { predictorDim, predictorDepth, ...encoder }] of Object.entries(ARCHITECTURES)) {
    const predictor = { dim: predictorDim, depth: predictorDepth, heads: encoder.heads, mlpRatio: 4 };
    const sizes = { imageSize: 224, patchSize: 14, encoder, predictor };
    const { dim } = encoder;
    const shapeOnly = (shapes: ParameterShapes) =>
      new Map(Object.entries(shapes).map(([each, shape]) => [each, tensorOf(shape, new Float32Array(0))]));
    const own = shapeOnly(encoderShapes(sizes));
    const networks = { encoder: own, predictor: shapeOnly(decoderShapes(dim, predictor, dim)), target_encoder: own };
    const tree = metaTree({ sizes, epoch: 0, networks, moments: null });
    t.deepEqual((await metaCheckpoint(name, tree)).sizes, sizes, name);
  }
});

test('a checkpoint without an optimiser is that of a run that starts anew', async (t) => {
  const tree = new Map([...(await savedTree())].filter(([key]) => key !== 'opt'));
  const read = await metaCheckpoint(SAVED, tree, HEADS);
  t.is(read.moments, null);
  const optimiser = dictionaryOf(dictionaryOf(metaTree(read)).get('opt'));
  t.is(dictionaryOf(optimiser.get('state')).size, 0);
});

test('what is no checkpoint of the reference code, or of several models, is refused in one message', async (t) => {
  const tree = await savedTree();
  const norm = 'module.norm.weight';
  const eight = tensorOf([8], new Float32Array(8));
  const half = changed(tree, 'opt', 'param_groups', []);
  const cases: [what: string, tree: TorchTree, heads: number | null, message: RegExp][] = [
    ['a number', 5, HEADS, /it has no encoder/],
    ['no predictor', withEntry(tree, 'predictor', new Map()), HEADS, /mask_token/],
    ['a network that is text', withEntry(tree, 'encoder', 'x'), HEADS, /it has no encoder/],
    [
      'text in a network',
      changed(tree, 'encoder', norm, 'x'),
      HEADS,
      /in its encoder, module\.norm\.weight is no tensor/,
    ],
    ['a tensor that is missing', changed(tree, 'encoder', norm), HEADS, /encoder\.norm\.weight is not there/],
    [
      'another shape',
      changed(tree, 'target_encoder', norm, tensorOf([7], new Float32Array(7))),
      HEADS,
      /\[7\] instead/,
    ],
    ['more tensors', changed(tree, 'encoder', 'module.head.bias', eight), HEADS, /no place for encoder\.head\.bias/],
    [
      'no square',
      changed(tree, 'encoder', 'module.pos_embed', tensorOf([1, 3, 8], new Float32Array(24))),
      HEADS,
      /3 patches/,
    ],
    [
      'other positions',
      changed(tree, 'encoder', 'module.pos_embed', tensorOf([1, 4, 8], new Float32Array(32))),
      HEADS,
      /encoder\.pos_embed are not the sine-cosine/,
    ],
    ['heads that are not known', tree, null, /does not tell how many attention heads it has/],
    ['heads that do not divide', tree, 3, /3 heads do not divide the width 8/],
    ['another optimiser', half, HEADS, /it has 0 parameters instead of 49/],
    [
      'moments that are missing',
      changed(tree, 'opt', 'state', new Map([[1, new Map()]])),
      HEADS,
      /it has no exp_avg \[8,3,2,2\]/,
    ],
  ];
  for (const [what, hostile, heads, message] of cases) {
    await t.throwsAsync(() => metaCheckpoint('x', hostile, heads), { instanceOf: UserError, message }, what);
  }
});

test('a model that the reference code does not have is not written', async (t) => {
  const read = await metaCheckpoint(SAVED, await savedTree(), HEADS);
  const encoder = new Map([...read.networks.encoder, ['cls_token', tensorOf([1, 1, 8], new Float32Array(8))]]);
  t.throws(() => metaTree({ ...read, networks: { ...read.networks, encoder } }), {
    instanceOf: UserError,
    message: /no place for encoder\.cls_token/,
  });
  const { encoder: size, predictor } = read.sizes;
  const sizes = { ...read.sizes, encoder: { ...size, heads: 4 }, predictor };
  t.throws(() => metaTree({ ...read, sizes }), { instanceOf: UserError, message: /has 4 heads, its predictor 2/ });
});
