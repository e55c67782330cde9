import test from 'ava';
import { findMethodFaults } from '../../core/check/method.js';
import { findMonitorFaults } from '../../core/check/monitor.js';
import { findObjectiveFaults } from '../../core/check/objective.js';
import { findTokenizerFaults } from '../../core/check/tokenizer.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { Method, MethodDefinition, Part, Tensors } from '../../core/methods/method.js';
import type { Monitor } from '../../core/plugin.js';
import type { Extension } from '../../core/plugins/plugin.js';
import template from '../../plugins/_template/index.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';

const NAMED = { name: 'odd', summary: 'of a test' };
type Compute = (...args: never[]) => unknown;
const loss = (compute: Compute) => ({ kind: 'loss', plugin: 'mine', item: { ...NAMED, compute } }) as Extension<'loss'>;
const regularizer = (compute: Compute, draw?: () => unknown) =>
  ({
    kind: 'regularizer',
    plugin: 'mine',
    item: { ...NAMED, compute, ...(draw && { draw }) },
  }) as Extension<'regularizer'>;

const OBJECTIVES: [what: string, objective: Extension<'loss' | 'regularizer'>, fault: RegExp][] = [
  [
    'a loss that throws',
    loss(() => {
      throw new Error('out of order');
    }),
    /the loss 'odd' of the plugin mine failed: out of order/,
  ],
  ['a loss that gives no scalar', loss((_: never, p: Tensor) => p.square()), /instead of a scalar/],
  ['a loss of NaN', loss((_: never, p: Tensor) => p.mean().mul(Number.NaN)), /value: is NaN/],
  [
    'a loss that sums over blocks',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().sum()),
    /is no mean over blocks/,
  ],
  [
    'a root of a distance',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().sum(2).sqrt().mean()),
    /where the prediction is right: the gradient is NaN/,
  ],
  [
    'dice of its own',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().mean().mul(Math.random())),
    /the same numbers give/,
  ],
  [
    'a gradient that is not its own',
    loss((_: never, p: Tensor, t: Tensor) => withGradient(p, (x) => x.sub(t).square().mean(), tf.onesLike)),
    /gradient: is .*, by finite differences/,
  ],
  [
    'numbers that do not fit their shape',
    regularizer(
      (_: never, z: Tensor) => z.mean(),
      () => ({ a: { shape: [2, 2], values: new Float32Array(3) } }),
    ),
    /drew 3 numbers as 'a' of shape \[2,2\]/,
  ],
  [
    'a draw by dice of its own',
    regularizer(
      (_: never, z: Tensor) => z.mean(),
      () => ({ a: { shape: [1], values: Float32Array.of(Math.random()) } }),
    ),
    /draw: the same random numbers give other ones/,
  ],
  [
    'a regularizer that takes the first row',
    regularizer((_: never, z: Tensor) => tf.slice(z, 0, 1).square().mean()),
    /order of rows: matters/,
  ],
  [
    'a deviation without epsilon',
    regularizer((_: never, z: Tensor) => tf.moments(z, 0).variance.sqrt().mean()),
    /rows that are all alike: the gradient/,
  ],
];

for (const [what, objective, fault] of OBJECTIVES) {
  test.serial(`the check of plugins finds ${what}`, async (t) => {
    await startEngine('cpu');
    t.regex((await findObjectiveFaults(objective)).join('\n'), fault);
  });
}

/** Probabilities of three tokens of every patch, from numbers of each. */
const byNumbers = (numbers: (images: Tensor) => Tensor) => (_: never, images: Tensor, patchSize: number) =>
  tf.softmax(tf.zeros([images.shape[0], ((images.shape[1] as number) / patchSize) ** 2, 3]).add(numbers(images)));
const TOKENIZERS: [what: string, tokens: Compute, fault: RegExp][] = [
  [
    'gives a promise',
    async () => tf.scalar(1),
    /the tokenizer 'odd' of the plugin mine gave a promise instead of prob/,
  ],
  ['gives indices', (_: never, images: Tensor) => tf.zeros([images.shape[0], 16]), /float32\[2,16,3\]/],
  [
    'gives no probabilities',
    (_: never, images: Tensor) => tf.ones([images.shape[0], 16, 3]),
    /tokens: the tokenizer 'odd' of the plugin mine gave numbers that are no probabilities/,
  ],
  ['throws dice', byNumbers(() => tf.tensor1d([Math.random(), 0, 0])), /the same images have other ones/],
  [
    'knows one grid of patches',
    (_: never, images: Tensor) => tf.softmax(tf.zeros([images.shape[0], 16, 3])),
    /gave a tensor of float32\[2,16,3\] instead of probabilities of float32\[2,9,3\]/,
  ],
  ['looks at other images', byNumbers((images) => images.mean([0, 1, 2])), /images taken apart: have other tokens/],
];

for (const [what, tokens, fault] of TOKENIZERS) {
  test.serial(`the check of plugins finds a tokenizer that ${what}`, async (t) => {
    await startEngine('cpu');
    const item = { ...NAMED, vocabularySize: 3, tokens };
    const faults = await findTokenizerFaults({ kind: 'tokenizer', plugin: 'mine', item } as Extension<'tokenizer'>);
    t.regex(faults.join('\n'), fault);
  });
}

function withGradient(x: Tensor, value: (x: Tensor) => Tensor, gradient: (x: Tensor) => Tensor): Tensor {
  return tf.customGrad((given) => ({ value: value(given as Tensor), gradFunc: () => [gradient(given as Tensor)] }))(x);
}

const [simmim] = template.methods;
type Term = Extract<Method['terms'][number], { over: 'images' }>;

/** The template's method with something that is wrong about it. */
function spoiled(change: (method: Method) => Partial<Method>, definition: Partial<MethodDefinition> = {}) {
  return {
    ...simmim,
    ...definition,
    create(...given: Parameters<MethodDefinition['create']>) {
      const method = simmim.create(...given);
      return { ...method, ...change(method) };
    },
  };
}

/** With another term. */
function withTerm(compute: (value: Tensor, outputs: Tensors, part: Part) => Tensor) {
  return spoiled(({ terms }) => {
    const [own] = terms as [Term];
    const changed = {
      ...own,
      compute: (o: Tensors, t: Tensors, part: Part) => compute(own.compute(o, t, part), o, part),
    };
    return { terms: [changed as Term] };
  });
}

/** With a mask whose patches are given, of each image. */
function withMask(patches: readonly number[], patchCount = 16) {
  return spoiled(({ draw }) => ({
    draw(stream, imageCount) {
      const drawn = draw?.(stream, imageCount) ?? { groups: [] };
      const indices = Int32Array.from(Array(imageCount).fill(patches).flat());
      const mask = { maskCount: 1, imageCount, tokenCount: patches.length, patchCount, indices };
      return { ...drawn, groups: drawn.groups.map((group) => ({ ...group, masks: { odd: mask } })) };
    },
  }));
}

const centre = (next: (state: Tensors, statistics: Tensors) => Tensors) =>
  spoiled(() => ({
    state: {
      initial: { centre: { shape: [2], values: new Float32Array(2) } },
      statistics: (_, __, { fraction }) => ({ centre: tf.ones([2]).mul(fraction) }),
      next,
    },
  }));

let calls = 0;
const METHODS: [what: string, method: MethodDefinition, fault: RegExp | null][] = [
  ['nothing where nothing is wrong', simmim, null],
  ['no fault of a state that is well', centre((_, statistics) => ({ ...statistics })), null],
  ['a loss of NaN', withTerm((value) => value.mul(Number.NaN)), /loss: is NaN/],
  ['dice of its own', withTerm((value) => value.mul(Math.random())), /loss: the same numbers give/],
  [
    'a term that is no mean over images',
    withTerm((value, _, { fraction }) => value.mul(fraction)),
    /a batch in parts: give the loss/,
  ],
  [
    'a gradient that is not its own',
    withTerm((value) =>
      withGradient(
        value,
        (x) => x.clone(),
        () => tf.scalar(2),
      ),
    ),
    /gradient: is .*, by finite differences/,
  ],
  [
    'a network that no gradient reaches',
    withTerm((_, { predicted }) => (predicted as Tensor).mul(0).mean()),
    /none reaches/,
  ],
  ['a term without a gradient', withTerm(() => tf.scalar(1)), /Cannot compute gradient/],
  [
    'a number that changes from step to step beside the part',
    withTerm((value) => value.mul(calls++ > 8 ? 2 : 1)),
    /gives|give/,
  ],
  ['patches outside the grid', withMask([3, 16]), /draw: odd: a patch is outside the grid/],
  ['a patch that comes twice', withMask([3, 3]), /draw: odd: a patch comes twice/],
  ['masks of another grid', withMask([3], 9), /draw: odd: an image has 16 patches, not 9/],
  [
    'too few images in groups',
    spoiled(({ draw }) => ({ draw: (stream, count) => draw?.(stream, count - 1) ?? { groups: [] } })),
    /draw: groups have 7 images, the batch 8/,
  ],
  [
    'masks by dice of its own',
    spoiled(({ draw }) => ({
      draw: (stream, count) => ({ ...(draw?.(stream, count) ?? { groups: [] }), logs: { odd: Math.random() } }),
    })),
    /draw: the same random numbers give other masks/,
  ],
  [
    'a moving average of a network that is not there',
    spoiled(({ networks }) => ({
      networks: { ...networks, slow: { shapes: {}, role: { by: 'ema', of: 'fast', decay: 'ema' } } },
    })),
    /networks: slow follows fast, which is not trained[\s\S]*there is no rate 'ema'/,
  ],
  ['an encoder that is not there', spoiled(() => ({ encoders: { odd: 'none' } })), /networks: the encoder none/],
  ['a rate of NaN', spoiled(() => ({ rates: { odd: () => Number.NaN } })), /rates: odd is not always a number/],
  ['a state of another shape', centre(() => ({ centre: tf.zeros([3]) })), /state: centre is \[3\] after a step, \[2\]/],
  ['a state that is lost', centre(() => ({})), /state: centre is missing after a step/],
  [
    'a log of infinity',
    spoiled(({ logs }) => ({
      logs: [
        ...logs,
        {
          name: 'odd',
          rows: ({ predicted }) => (predicted as Tensor).mean([1, 2]),
          compute: () => tf.scalar(Infinity),
        },
      ],
    })),
    /logs: odd is Infinity/,
  ],
  [
    'a preset with an option that is not there',
    spoiled(() => ({}), { presets: { odd: { summary: 's', options: { hidenFraction: 1 } } } }),
    /options: unknown option 'hidenFraction' in the preset odd/,
  ],
  [
    'a default that its own option does not allow',
    spoiled(() => ({}), { options: { hiddenFraction: { ...simmim.options.hiddenFraction, default: 2 } } as never }),
    /options: hiddenFraction .* in the defaults cannot be 2/,
  ],
  ['passes of which none is trained', spoiled(() => ({}), { passes: () => [] }), /passes: none is trained/],
];

for (const [what, method, fault] of METHODS) {
  test.serial(`of a method the check of plugins finds ${what}`, async (t) => {
    const faults = (await findMethodFaults(await startEngine('wasm'), method, BUILT_IN_PLUGINS)).join('\n');
    if (fault) t.regex(faults, fault);
    else t.is(faults, '');
  });
}

test.serial('the check of plugins finds numbers that an engine has recorded', async (t) => {
  const clock = withTerm((value) => value.mul(1 + new Date(0).getTime() + calls++));
  const faults = await findMethodFaults(await startEngine('onnx'), clock, BUILT_IN_PLUGINS);
  t.regex(faults.join('\n'), /gives? /);
});

test('the check of plugins finds state that is lost when a run is interrupted', async (t) => {
  const monitor = (observe: () => unknown, values = ['value']) =>
    ({ ...NAMED, values, start: () => ({ observe }) }) as Monitor;
  const counting: Monitor = {
    ...NAMED,
    values: ['count'],
    start() {
      let count = 0;
      return { observe: () => ({ values: { count: count++ } }) };
    },
  };
  t.regex((await findMonitorFaults(counting)).join(), /a run that goes on gives other reports/);
  t.regex((await findMonitorFaults(monitor(() => ({ values: { value: Math.random() } })))).join(), /second time/);
  t.regex((await findMonitorFaults(monitor(() => ({}), ['a', 'a']))).join(), /names a twice/);
});
