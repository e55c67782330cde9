import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { resolveOptions } from '../config/resolve.js';
import { imageShape } from '../config/settings.js';
import type { DrawnNumbers } from '../contract/objectives.js';
import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawBatch, meanPatches, noiseViews, normalTensors, viewSides } from '../methods/batch.js';
import { checkMethodOptions, createMethod } from '../methods/create.js';
import type { Method, MethodDefinition, Networks, Tensors } from '../methods/method.js';
import { gridSize } from '../nn/sizes.js';
import type { RunLength } from '../optim/schedules.js';
import { type Plugin, selectPlugins } from '../plugins/plugin.js';
import { type Gradients, prepareGradients } from '../train/gradients.js';
import { splitBatch } from '../train/parts.js';
import { initialState, mapNetworks, tensorsOf } from '../train/state.js';
import { areNear, type Checks, isNear, largestOf, numberOf, runChecks, slopeFault, valueFaults } from './numbers.js';

/** The sizes in which a method is tried: 16 patches. */
const TINY = { imageSize: 16, patchSize: 4, dim: 16, depth: 1, heads: 2, batchSize: 8 };
/** What a method's own options are set to whose names end so: they say how large its networks are. */
const TINY_OWN = { Dim: 16, Width: 16, Depth: 1, Heads: 2 };
/** Images of the smaller parts into which the batch is cut. */
const PART = 3;
/** Gradients that are 0 because large ones cancel (of biases before batch norm) are as exact as such a part of the largest. */
const CANCELLED = 1e-2;
const LENGTH: RunLength = { stepsPerEpoch: 10, epochs: 10, scheduleStretch: 1 };
const STEPS = [1, 50, 100];

/**
 * Holds a method against the contract of plugins: a tiny model computes losses and gradients of random images.
 * @param plugins that may bring what its options name
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findMethodFaults(engine: Engine, definition: MethodDefinition, plugins: readonly Plugin[]) {
  const own = Object.keys(definition.options).flatMap((name) => {
    const size = Object.entries(TINY_OWN).find(([ending]) => name.endsWith(ending));
    return size ? [[name, size[1]]] : [];
  });
  return runChecks({
    options: () => presetFaults(definition),
    'a small model': async () => {
      const { options } = resolveOptions({ methods: [definition], flags: { ...TINY, ...Object.fromEntries(own) } });
      const { extensions } = selectPlugins(definition, options, plugins);
      const { method } = createMethod(definition, options, extensions);
      try {
        await method.check?.();
        const faults = await runChecks(modelChecks(engine, method, gridSize(imageShape(options)) ** 2));
        const passes = definition.passes(options, meanPatches(drawBatch(method, 0, 1, TINY.batchSize).groups));
        if (!passes.some(({ trained }) => trained)) faults.push('passes: none is trained');
        return faults;
      } finally {
        method.dispose();
      }
    },
  });
}

/** What is wrong with defaults, of its own options and of common ones, and with presets. */
function presetFaults(definition: MethodDefinition): string[] {
  const defaults = { ...mapValues(definition.options, (option) => option.default), ...definition.defaults };
  const fileOf = (path: string, options: Readonly<Record<string, unknown>>) => ({ preset: undefined, path, options });
  const named = Object.entries(definition.presets);
  const presets = named.map(([name, { options }]) => fileOf(`the preset ${name}`, options));
  for (const file of [fileOf('the defaults', defaults), ...presets]) {
    const { options } = resolveOptions({ methods: [definition], file, flags: {} });
    checkMethodOptions(definition, options);
    if (!definition.describe(options)) return [`${file.path}: describe gives no text`];
  }
  return [];
}

function modelChecks(engine: Engine, method: Method, patchCount: number): Checks {
  const { networks, own } = initialState(method, [], 0);
  const compute = prepareGradients(engine, method, 0, 1);
  /** Random images with what is drawn for them, in parts of at most so many. */
  const partsOf = (step: number, microBatchSize: number) => {
    const sides = viewSides(method, TINY.imageSize);
    const views = noiseViews(method, sides, TINY.batchSize, new RandomStream(0, `check images ${step}`));
    const rates = mapValues(method.rates, (rate) => tf.scalar(rate(step, LENGTH)));
    const batch = { views, groups: drawBatch(method, 0, step, TINY.batchSize).groups };
    return splitBatch(method.views, sides, batch, { state: own, rates }, microBatchSize, 1);
  };
  const wholeOf = async (weights: Networks, step: number) => compute(weights, partsOf(step, TINY.batchSize), step);
  const lossOf = async (weights: Networks, step: number) => numberOf((await wholeOf(weights, step)).loss);
  return {
    networks: () => networkFaults(method),
    rates: () => rateFaults(method),
    draw: () => drawFaults(method, patchCount),
    loss: () => valueFaults(() => lossOf(networks, 1)),
    'a later step': async () => {
      const fresh = prepareGradients(engine, method, 0, 1);
      const used = await lossOf(networks, 2);
      const expected = await numberOf((await fresh(networks, partsOf(2, TINY.batchSize), 2)).loss);
      if (isNear(used, expected)) return [];
      return [`gives ${used} instead of ${expected}: what differs from step to step has to be in \`part\``];
    },
    gradient: async () => gradientFaults(networks, await wholeOf(networks, 1), (weights) => lossOf(weights, 1)),
    'a batch in parts': async () => {
      const [whole, parts] = [await wholeOf(networks, 1), await compute(networks, partsOf(1, PART), 1)];
      return partsFaults(whole, parts);
    },
    logs: async () => {
      const { rows } = await wholeOf(networks, 1);
      const faults: string[] = [];
      for (const { name, compute } of method.logs) {
        const value = await numberOf(compute(rows[name]));
        if (!Number.isFinite(value)) faults.push(`${name} is ${value}`);
      }
      return faults;
    },
    state: async () => stateFaults(method, own, (await wholeOf(networks, 1)).statistics),
  };
}

function networkFaults({ networks, encoders, rates, terms, logs, views }: Method): string[] {
  const faults: string[] = [];
  for (const [name, { role, shapes }] of Object.entries(networks)) {
    if (role.by === 'ema') {
      const followed = networks[role.of];
      if (followed?.role.by !== 'gradient') faults.push(`${name} follows ${role.of}, which is not trained`);
      else if (Object.keys(shapes).some((at) => followed.shapes[at]?.join() !== shapes[at]?.join()))
        faults.push(`${name} has parameters that ${role.of}, which it follows, has not`);
    }
    const rate = role.by === 'ema' ? role.decay : role.by === 'gradient' ? role.steps : undefined;
    if (rate !== undefined && !rates[rate]) faults.push(`${name}: there is no rate '${rate}'`);
  }
  const absent = Object.values(encoders).find((network) => !networks[network]);
  if (absent !== undefined) faults.push(`the encoder ${absent} is none of them`);
  if (Object.keys(encoders).length === 0) faults.push('none is an encoder that can be evaluated');
  for (const [what, items] of Object.entries({ terms, logs, views })) {
    const names = items.map(({ name }) => name);
    if (new Set(names).size < names.length) faults.push(`two ${what} have one name`);
  }
  return faults;
}

function rateFaults({ rates }: Method): string[] {
  const wrong = Object.entries(rates).filter(([, rate]) => !STEPS.every((step) => Number.isFinite(rate(step, LENGTH))));
  return wrong.map(([name]) => `${name} is not always a number`);
}

function drawFaults(method: Method, patchCount: number): string[] {
  const [first, again] = [drawBatch(method, 0, 1, TINY.batchSize), drawBatch(method, 0, 1, TINY.batchSize)];
  if (JSON.stringify(first) !== JSON.stringify(again))
    return ['the same random numbers give other masks the second time'];
  const images = first.groups.reduce((sum, group) => sum + group.imageCount, 0);
  const faults = images === TINY.batchSize ? [] : [`groups have ${images} images, the batch ${TINY.batchSize}`];
  for (const [name, mask] of first.groups.flatMap(({ masks }) => Object.entries(masks))) {
    if (mask.patchCount !== patchCount)
      faults.push(`${name}: an image has ${patchCount} patches, not ${mask.patchCount}`);
    for (let from = 0; from < mask.indices.length; from += mask.tokenCount) {
      const patches = mask.indices.subarray(from, from + mask.tokenCount);
      if (patches.some((patch) => patch < 0 || patch >= patchCount))
        faults.push(`${name}: a patch is outside the grid`);
      if (new Set(patches).size < patches.length) faults.push(`${name}: a patch comes twice`);
    }
  }
  return [...new Set(faults)];
}

/** Holds gradients against the loss along a line: that of the gradient itself, and as far in a random direction. */
async function gradientFaults(
  networks: Networks,
  { gradients }: Gradients,
  lossOf: (weights: Networks) => Promise<number>,
): Promise<string[]> {
  for (const [name, own] of Object.entries(gradients)) {
    const sums = await Promise.all(Object.values(own).map((gradient) => numberOf(gradient.square().sum() as Scalar)));
    if (!sums.every(Number.isFinite)) return [`that of ${name} is NaN or infinite`];
    if (sums.every((sum) => sum === 0)) return [`none reaches ${name}`];
  }
  const random = normalTensors(new RandomStream(0, 'check direction'));
  const noise = mapNetworks(gradients, (tensor) => random(...tensor.shape));
  const [length, noiseLength] = [await lengthOf(gradients), await lengthOf(noise)];
  const direction = combine(gradients, noise, (x, y) => x.div(length).add(y.div(noiseLength)));
  const derivative = await sumOf(combine(gradients, direction, (x, y) => x.mul(y).sum()));
  const fault = await slopeFault((distance) => {
    const moved = combine(direction, networks, (x, y) => y.add(x.mul(distance)));
    return lossOf({ ...networks, ...moved });
  }, derivative);
  return fault === null ? [] : [`is ${fault}`];
}

/** A tensor for each of the first networks', made from it and the other's of the same name. */
function combine(networks: Networks, others: Networks, make: (x: Tensor, y: Tensor) => Tensor): Networks {
  return mapValues(networks, (own, network) =>
    mapValues(own, (tensor, name) => make(tensor, others[network]?.[name] as Tensor)),
  );
}

/** √ Σ x² */
async function lengthOf(networks: Networks): Promise<number> {
  return Math.sqrt(await sumOf(mapNetworks(networks, (tensor) => tensor.square().sum())));
}

async function sumOf(networks: Networks): Promise<number> {
  return numberOf(tf.addN([...tensorsOf(networks)].map(([, , scalar]) => scalar)) as Scalar);
}

async function partsFaults(whole: Gradients, parts: Gradients): Promise<string[]> {
  const [loss, ofParts] = [await numberOf(whole.loss), await numberOf(parts.loss)];
  if (!isNear(loss, ofParts)) return [`give the loss ${ofParts}, at once ${loss}`];
  const scales = await Promise.all(
    [...tensorsOf(whole.gradients)].map(async ([, , all]) => largestOf(await all.data())),
  );
  const cancelled = CANCELLED * Math.max(...scales);
  for (const [network, name, gradient] of tensorsOf({ ...whole.gradients, statistics: whole.statistics })) {
    const other = (network === 'statistics' ? parts.statistics : parts.gradients[network])?.[name] as Tensor;
    if (!areNear(await gradient.data(), await other.data(), cancelled))
      return [`give another ${network} ${name} than at once`];
  }
  return [];
}

async function stateFaults({ state }: Method, own: Tensors, statistics: Tensors): Promise<string[]> {
  if (!state) return [];
  const next = state.next(own, statistics);
  const shapeOf = ({ shape }: Pick<DrawnNumbers, 'shape'>) => `[${shape}]`;
  const faults: string[] = [];
  for (const [name, initial] of Object.entries(state.initial)) {
    const tensor = next[name];
    if (!tensor || shapeOf(tensor) !== shapeOf(initial))
      faults.push(`${name} is ${tensor ? shapeOf(tensor) : 'missing'} after a step, ${shapeOf(initial)} before`);
    else if (!(await tensor.data()).every(Number.isFinite)) faults.push(`${name} is NaN or infinite after a step`);
  }
  return faults;
}
