import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Options } from '../../core/config/schema.js';
import { meanPatches } from '../../core/methods/batch.js';
import {
  type BatchMasks,
  blockSize,
  drawMasks,
  type GroupMasks,
  type MaskSettings,
  possibleSizes,
} from '../../core/methods/masks/blocks.js';
import {
  checkMaskSettings,
  describeCut,
  type MultiblockOptions,
  multiblockSettings,
} from '../../core/methods/masks/options.js';
import { METHODS } from '../../core/methods/registry.js';
import { FIXTURES } from '../helpers/paths.js';

const PAPER = {
  targetBlocks: 4,
  targetScale: [0.15, 0.2],
  targetAspect: [0.75, 1.5],
  contextBlocks: 1,
  contextScale: [0.85, 1],
  minKeep: null,
  mode: 'inclusive',
  group: null,
} as const;

function settings(gridSize: number, change: Partial<MaskSettings> = {}): MaskSettings {
  return checkMaskSettings({ ...PAPER, gridSize, ...change }, { imageSize: gridSize * 8, patchSize: 8 });
}

/** The masks of a training step, counted from 1. */
function masksOfStep(mask: MaskSettings, imageCount: number, seed: number, step: number): BatchMasks {
  return drawMasks(mask, imageCount, new RandomStream(seed, 'masks', step));
}

/** How often each patch of the grid lay in a context and in a target block, as parts of at least so many images. */
function measureCoverage(mask: MaskSettings, batchSize: number, images: number) {
  const [context, targets] = [new Float64Array(mask.gridSize ** 2), new Float64Array(mask.gridSize ** 2)];
  const steps = Math.ceil(images / batchSize);
  const count = (into: Float64Array, patches: Int32Array) => {
    for (const patch of patches) into[patch] = (into[patch] as number) + 1 / (steps * batchSize);
  };
  for (let step = 1; step <= steps; step++) {
    for (const { masks: group } of masksOfStep(mask, batchSize, 0, step).groups) {
      count(context, group.context.indices);
      count(targets, group.target.indices);
    }
  }
  return { context, targets };
}

/** Patches of mask `mask` of image `image`. */
function patches(masks: GroupMasks['context'], mask: number, image: number): number[] {
  const { maskCount, imageCount, tokenCount, indices } = masks;
  if (mask >= maskCount) throw new Error('no such mask');
  const start = (mask * imageCount + image) * tokenCount;
  return [...indices.subarray(start, start + tokenCount)];
}

const anySettings = fc
  .record({
    gridSize: fc.integer({ min: 6, max: 20 }),
    targetBlocks: fc.integer({ min: 1, max: 6 }),
    contextBlocks: fc.integer({ min: 1, max: 3 }),
    mode: fc.constantFrom('inclusive' as const, 'reference' as const),
    low: fc.double({ min: 0.1, max: 0.3, noNaN: true }),
    wide: fc.double({ min: 0, max: 0.2, noNaN: true }),
  })
  .map(({ gridSize, targetBlocks, contextBlocks, mode, low, wide }) => {
    try {
      return settings(gridSize, { targetBlocks, contextBlocks, mode, targetScale: [low, low + wide] });
    } catch (error) {
      if (error instanceof UserError) return null; // targets that leave no context
      throw error;
    }
  })
  .filter((possible) => possible !== null);

/** The masks of a batch that is one group. */
function wholeBatch(mask: MaskSettings, images: number, seed: number): GroupMasks & { overlapping: number } {
  const { groups, overlapping } = masksOfStep({ ...mask, group: null }, images, seed, 1);
  if (groups.length !== 1) throw new Error(`${groups.length} groups`);
  return { ...(groups[0]?.masks as GroupMasks), overlapping };
}

test('masks keep their laws for any settings and seed', (t) => {
  const law = fc.property(anySettings, fc.nat(), fc.integer({ min: 1, max: 6 }), (mask, seed, images) => {
    const { context, target: targets, overlapping } = wholeBatch(mask, images, seed);
    const cells = mask.gridSize ** 2;
    for (const part of [context, targets]) {
      if (part.indices.length !== part.maskCount * images * part.tokenCount || part.tokenCount < mask.minKeep)
        return false;
      for (let at = 0; at < part.indices.length; at += part.tokenCount) {
        const block = [...part.indices.subarray(at, at + part.tokenCount)];
        const ascending = block.every((patch, i) => i === 0 || patch > (block[i - 1] as number));
        if (!ascending || !block.every((patch) => patch >= 0 && patch < cells)) return false;
      }
    }
    if (overlapping > 0) return true;
    return Array.from({ length: images }).every((_, image) => {
      const predicted = new Set(
        Array.from({ length: mask.targetBlocks }, (_, at) => patches(targets, at, image)).flat(),
      );
      return Array.from({ length: mask.contextBlocks }, (_, at) => patches(context, at, image))
        .flat()
        .every((patch) => !predicted.has(patch));
    });
  });
  fc.assert(law, { numRuns: 60 });
  t.pass();
});

test('target blocks are whole rectangles of one size in a batch', (t) => {
  const law = fc.property(fc.nat(), fc.integer({ min: 5, max: 16 }), (seed, gridSize) => {
    const { target: targets } = wholeBatch(settings(gridSize), 4, seed);
    const shapes = new Set<string>();
    for (let image = 0; image < 4; image++) {
      for (let mask = 0; mask < 4; mask++) {
        const block = patches(targets, mask, image);
        const rows = new Set(block.map((patch) => Math.floor(patch / gridSize)));
        const columns = new Set(block.map((patch) => patch % gridSize));
        if (rows.size * columns.size !== block.length) return false;
        shapes.add(`${rows.size}x${columns.size}`);
      }
    }
    return shapes.size === 1;
  });
  fc.assert(law, { numRuns: 60 });
  t.pass();
});

test('with the settings of the paper a context never overlaps a target', (t) => {
  for (let step = 1; step <= 50; step++) t.is(masksOfStep(settings(14), 16, 0, step).overlapping, 0);
});

test('block sizes are those of the reference code', (t) => {
  // Worked out by hand: keep = floor(196 (0.15 + 0.05 u)), aspect = 0.75 + 0.75 u.
  t.deepEqual(blockSize(14, [0.15, 0.2], [0.75, 1.5], 0), { height: 5, width: 6 }); // keep 29: 4.66, 6.22
  t.deepEqual(blockSize(14, [0.15, 0.2], [0.75, 1.5], 0.5), { height: 6, width: 5 }); // keep 34, 1.125: 6.18, 5.50 -> 5
  t.deepEqual(blockSize(14, [0.85, 1], [1, 1], 1), { height: 13, width: 13 }); // 14 is lowered below the grid's side
  t.deepEqual(blockSize(8, [0.15, 0.2], [0.75, 1.5], 0), { height: 3, width: 3 }); // keep 9: 2.60, 3.46
});

test('the possible sizes of blocks are all that can be drawn, whatever the settings', (t) => {
  const law = fc.property(
    fc.integer({ min: 2, max: 20 }),
    fc.double({ min: 0.01, max: 0.5, noNaN: true }),
    fc.double({ min: 0, max: 0.5, noNaN: true }),
    (gridSize, low, wide) => {
      const scale = [low, low + wide] as const;
      const name = ({ height, width }: { height: number; width: number }) => `${height}x${width}`;
      const possible = new Set(possibleSizes(gridSize, scale, [0.75, 1.5]).map(name));
      return Array.from({ length: 500 }, (_, i) => blockSize(gridSize, scale, [0.75, 1.5], i / 499)).every((size) =>
        possible.has(name(size)),
      );
    },
  );
  fc.assert(law, { numRuns: 100 });
  t.deepEqual(possibleSizes(14, [0.85, 0.85], [1, 1]), [{ height: 13, width: 13 }]);
});

test('inclusive blocks reach every patch; reference blocks never reach the last row and column', (t) => {
  const inclusive = measureCoverage(settings(10), 32, 800);
  t.true(inclusive.context.every((part) => part > 0));
  t.true(inclusive.targets.every((part) => part > 0));
  const reference = measureCoverage(settings(10, { mode: 'reference' }), 32, 800);
  reference.targets.forEach((part, patch) => {
    const isLast = patch % 10 === 9 || patch >= 90;
    t.is(part > 0, !isLast, `patch ${patch}`);
  });
});

test('what a context loses to the cut is spread over the grid, but in reference mode it is the bottom', (t) => {
  const rowMeans = (mode: MaskSettings['mode']) => {
    const { context } = measureCoverage(settings(8, { mode }), 64, 2500);
    const mean = (row: number) => context.subarray(row * 8, row * 8 + 8).reduce((sum, part) => sum + part / 8, 0);
    return { top: mean(0) + mean(1), bottom: mean(5) + mean(6) }; // reference blocks never reach row 7
  };
  const reference = rowMeans('reference');
  t.true(reference.bottom < 0.2 * reference.top, `reference: ${JSON.stringify(reference)}`);
  const { context } = measureCoverage(settings(8), 64, 2500);
  const row = (at: number) => context.subarray(at * 8, at * 8 + 8).reduce((sum, part) => sum + part, 0);
  t.true(Math.abs(row(0) / row(7) - 1) < 0.15, `first row ${row(0)}, last row ${row(7)}`);
});

test('a step has the same masks whenever it is drawn, and other steps and seeds have others', (t) => {
  const mask = settings(8);
  t.deepEqual(masksOfStep(mask, 8, 3, 7), masksOfStep(mask, 8, 3, 7));
  t.notDeepEqual(masksOfStep(mask, 8, 3, 7), masksOfStep(mask, 8, 3, 8));
  t.notDeepEqual(masksOfStep(mask, 8, 3, 7), masksOfStep(mask, 8, 4, 7));
});

test('every group of a batch is cut to its own smallest context, and has the block sizes of the batch', (t) => {
  const law = fc.property(
    anySettings,
    fc.nat(),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 12 }),
    (mask, seed, images, group) => {
      const { groups, drawnPatches } = masksOfStep({ ...mask, group }, images, seed, 1);
      const counts = groups.map(({ masks }) => masks.context.imageCount);
      const expected = Array.from({ length: Math.ceil(images / group) }, (_, at) =>
        Math.min(group, images - at * group),
      );
      const sameTargets = new Set(groups.map(({ masks }) => masks.target.tokenCount)).size === 1;
      const alone = masksOfStep({ ...mask, group: 1 }, images, seed, 1).drawnPatches;
      const isWhole =
        group < images ||
        JSON.stringify(groups.map(({ masks }) => masks)) === JSON.stringify([onlyMasks(mask, images, seed)]);
      const kept = meanPatches(groups).context as number;
      const cutsNothing = group > 1 || mask.contextBlocks > 1 || Math.abs(kept - drawnPatches) < 1e-9;
      return (
        counts.join() === expected.join() &&
        sameTargets &&
        isWhole &&
        cutsNothing &&
        kept <= drawnPatches + 1e-9 &&
        alone > 0
      );
    },
  );
  fc.assert(law, { numRuns: 60 });
  t.pass();
});

function onlyMasks(mask: MaskSettings, images: number, seed: number): GroupMasks {
  const { context, target } = wholeBatch(mask, images, seed);
  return { context, target };
}

const GOLDEN: Record<string, Golden> = JSON.parse(readFileSync(join(FIXTURES, 'masks', 'golden.json'), 'utf8'));
type Golden = { steps: number } & Record<'kept in groups' | 'lost by one cut', { mean: number; deviation: number }>;

for (const [preset, steps] of [
  ['in1k-vith14-ep300', 3],
  ['in1k-vith16-448-ep300', 1],
] as const) {
  test(`${preset} keeps as much context as the reference code, and cutting the whole batch at once much less`, (t) => {
    const { options } = resolveOptions({ methods: METHODS, preset, flags: {} });
    const mask = multiblockSettings(options as Options & MultiblockOptions);
    let [drawn, kept, keptOfBatch] = [0, 0, 0];
    for (let step = 1; step <= steps; step++) {
      const { groups, drawnPatches } = masksOfStep(mask, 2048, 0, step);
      drawn += drawnPatches / steps;
      kept += (meanPatches(groups).context as number) / steps;
      keptOfBatch += Math.min(...groups.map(({ masks }) => masks.context.tokenCount)) / steps;
    }
    const golden = GOLDEN[preset] as Golden;
    const near = (value: number, { mean, deviation }: { mean: number; deviation: number }) => {
      const error = deviation * Math.sqrt(1 / steps + 1 / golden.steps);
      t.true(Math.abs(value - mean) < 4 * error, `${value}, expected ${mean} with an error of ${error}`);
    };
    near(kept, golden['kept in groups']);
    near(1 - keptOfBatch / kept, golden['lost by one cut']);
    t.true(keptOfBatch < 0.9 * kept && kept < drawn);
  });
}

test('people are told what a context keeps of the patches, and what cutting costs', (t) => {
  const mask = settings(14, { group: 16 });
  const parts =
    /^a context keeps ([\d.]+) of 196 patches \((\d+)%\): of the ([\d.]+) outside its targets, cutting 16 images to their smallest takes (\d+)% away; cutting all 64 together would take (\d+)%$/;
  const [, kept, keptPercent, drawn, cut, cutOfBatch] = (parts.exec(describeCut(mask, 64, 0)) ?? []).map(Number);
  const [steps, batchSize] = [16, 64]; // 1000 images in whole batches
  let [expectedKept, expectedDrawn, expectedOfBatch] = [0, 0, 0];
  for (let step = 1; step <= steps; step++) {
    const { groups, drawnPatches } = masksOfStep(mask, batchSize, 0, step);
    expectedDrawn += drawnPatches / steps;
    expectedKept += (meanPatches(groups).context as number) / steps;
    expectedOfBatch += Math.min(...groups.map(({ masks }) => masks.context.tokenCount)) / steps;
  }
  const percent = (fraction: number) => Number((100 * fraction).toFixed(0));
  t.deepEqual(
    [kept, keptPercent, drawn, cut, cutOfBatch],
    [
      Number(expectedKept.toFixed(1)),
      percent(expectedKept / 196),
      Number(expectedDrawn.toFixed(1)),
      percent(1 - expectedKept / expectedDrawn),
      percent(1 - expectedOfBatch / expectedDrawn),
    ],
  );
  t.regex(describeCut(settings(14), 64, 0), /cutting 64 images to their smallest takes \d+% away$/);
});

test('drawing ends where no context can avoid all targets, and says how many overlap', (t) => {
  const crowded = { ...settings(6, { minKeep: 4 }), targetBlocks: 40 };
  const { groups, overlapping } = drawMasks(crowded, 8, new RandomStream(0, 'masks', 1));
  t.true(overlapping > 0);
  t.true((groups[0]?.masks.context.tokenCount ?? 0) >= 4);
});

test('min-keep left to the program is 10, or the smallest block where that is smaller', (t) => {
  t.is(settings(14).minKeep, 10);
  t.is(settings(8).minKeep, 9);
  t.is(settings(8, { mode: 'reference' }).minKeep, 8); // more than min-keep are wanted there
  const areas = possibleSizes(8, [0.15, 0.2], [0.75, 1.5]).map(({ height, width }) => height * width);
  t.is(Math.min(...areas), 9);
});

test('settings that cannot work are refused with the numbers and with a setting that works', (t) => {
  const refusal = (gridSize: number, change: object) => {
    const error = t.throws(() => settings(gridSize, change), { instanceOf: UserError });
    return error?.report ?? '';
  };
  t.regex(refusal(8, { minKeep: 30 }), /keep 30 patches.*8x8 patches the smallest block has 9[\s\S]*--min-keep 9/);
  t.notThrows(() => settings(8, { minKeep: 9 }));
  t.regex(refusal(2, {}), /2x2 patches[\s\S]*--patch-size 4, or --image-size 24/);
  t.notThrows(() => settings(4));
  t.notThrows(() => settings(3));
  t.regex(refusal(1, {}), /1x1 patches/);
  t.regex(
    refusal(14, { targetBlocks: 64, minKeep: 25 }),
    /64 targets of 0\.15 to 0\.2 .* leave no context[\s\S]*use --target-blocks \d+, or a smaller/,
  );
  t.regex(
    refusal(14, { targetBlocks: 1, targetScale: [0.95, 1], minKeep: 30 }),
    /leave no context[\s\S]*use a smaller --target-scale/,
  );
});

test('settings for which no grid is large enough are refused without trying for ever', (t) => {
  const impossible: Partial<MaskSettings>[] = [
    { contextScale: [1e-299, 1] },
    { targetAspect: [1e-300, 1e300] },
    { targetScale: [1e-9, 1e-8] },
  ];
  for (const change of impossible) {
    for (const [imageSize, patchSize] of [
      [224, 16],
      [4096, 32],
      [1024, 8],
    ] as const) {
      const wishes = { ...PAPER, ...change, gridSize: imageSize / patchSize };
      t.throws(() => checkMaskSettings(wishes, { imageSize, patchSize }), {
        instanceOf: UserError,
        message: /no grid is large enough/,
      });
    }
  }
});
