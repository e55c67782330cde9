import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import type { Engine, EngineMemory } from '../../core/engine/contract.js';
import { freeMemory, groupMemory } from '../../core/engine/machine.js';
import { outOfMemory, outOfMemoryForFeatures } from '../../core/engine/memory.js';
import { startEngine } from '../../core/engine/start.js';
import {
  chooseMicroBatchSize,
  estimateStepMemory,
  largestMasks,
  memoryBudget,
  type StepMemory,
} from '../../core/train/memory.js';
import { partLengths } from '../../core/train/parts.js';
import { temporaryFolder } from '../helpers/command.js';
import { methodOf } from '../helpers/method.js';

const GIB = 2 ** 30;

const MACHINE: EngineMemory = { limit: null, kind: 'planned', of: 'machine' };

test.before(() => startEngine('cpu'));

/** An engine of which this asks no more than how it deals with memory. */
function engineOf(concurrency: number, memory = MACHINE): Engine {
  return { name: 'onnx', memory, concurrency } as Pick<Engine, 'name' | 'memory' | 'concurrency'> as Engine;
}

/** What a step of a model needs, and how many of its images are computed at once. */
function plan(flags: Readonly<Record<string, unknown>>, concurrency = 1, kind: EngineMemory['kind'] = 'planned') {
  const { definition, method, options } = methodOf(flags);
  const passes = definition.passes(options, largestMasks(method, options.seed).largest);
  const needed = estimateStepMemory(method.networks, passes, { kind, concurrency, recompute: options.recompute });
  const choose = (megabytes: number) =>
    chooseMicroBatchSize(definition, method, { ...options, memory: megabytes }, engineOf(concurrency));
  return { needed, choose };
}

const TWO_CONTEXTS = { arch: 'vit-tiny', imageSize: 96, patchSize: 8, contextBlocks: 2 };
const GIANT = { arch: 'vit-giant', patchSize: 14 };
const RECOMPUTED = { recompute: true };

/** Estimates of the formula that was fitted to measured peaks, in bytes. */
const FITTED: [what: string, flags: object, kind: EngineMemory['kind'], concurrency: number, StepMemory][] = [
  ['the usual sizes', {}, 'planned', 1, { fixed: 1_226_384_384, perImage: 79_411_968 }],
  ['the usual sizes', {}, 'planned', 2, { fixed: 1_549_945_344, perImage: 79_411_968 }],
  ['the usual sizes', {}, 'stepwise', 1, { fixed: 1_333_002_240, perImage: 748_249_689.6 }],
  ['two contexts', TWO_CONTEXTS, 'planned', 1, { fixed: 503_175_680, perImage: 43_444_128 }],
  ['two contexts', TWO_CONTEXTS, 'planned', 2, { fixed: 613_506_816, perImage: 43_444_128 }],
  ['two contexts', TWO_CONTEXTS, 'stepwise', 1, { fixed: 322_376_448, perImage: 416_861_270.4 }],
  ['wide hidden layers', GIANT, 'planned', 1, { fixed: 41_649_419_264, perImage: 900_139_520 }],
  ['wide hidden layers', GIANT, 'planned', 2, { fixed: 54_057_238_016, perImage: 900_139_520 }],
  ['wide hidden layers', GIANT, 'stepwise', 1, { fixed: 57_903_924_736, perImage: 7_643_474_483.2 }],
  ['recomputed blocks', RECOMPUTED, 'planned', 2, { fixed: 1_549_945_344, perImage: 19_700_832 }],
  ['recomputed blocks', RECOMPUTED, 'stepwise', 1, { fixed: 1_333_002_240, perImage: 138_699_446.4 }],
];

for (const [what, flags, kind, concurrency, expected] of FITTED) {
  test(`a step's memory is estimated as it was fitted to measurements: ${what}, ${kind}, ${concurrency} at once`, (t) => {
    const { fixed, perImage } = plan({ ...flags }, concurrency, kind).needed;
    t.is(fixed, expected.fixed);
    t.true(Math.abs(perImage - expected.perImage) < 1, `${perImage}`);
  });
}

test('what varying numbers of tokens take is planned for methods whose masks vary, and for no others', (t) => {
  const MIB = 2 ** 20;
  const memory: EngineMemory = {
    limit: null,
    kind: 'planned',
    of: 'machine',
    varying: { bytes: 300 * MIB, factor: 3 },
  };
  const chosen = (flags: object, megabytes: number, own = memory) => {
    const { definition, method, options } = methodOf({ ...flags, batchSize: 64 });
    return chooseMicroBatchSize(definition, method, { ...options, memory: megabytes }, engineOf(1, own));
  };
  const { fixed, perImage } = plan({}, 1, 'planned').needed;
  const forTen = (fixed + 300 * MIB + 3 * 10.5 * perImage) / MIB;
  t.is(chosen({}, forTen), 10);
  const { varying: _, ...plain } = memory;
  t.is(chosen({ method: 'mae' }, forTen), chosen({ method: 'mae' }, forTen, plain));
});

/** Files as a system has them below its root. */
async function systemWith(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
  return root;
}

test('free memory is what the machine has, and no more than the control group allows', (t) => {
  const machine = { free: 20 * GIB, total: 32 * GIB, own: GIB, used: null };
  for (const limit of [undefined, 0, 64 * GIB, 2 ** 63 - 4096, 18_446_744_073_709_552_000]) {
    t.is(freeMemory({ ...machine, limit }), 20 * GIB, `${limit} is no limit`);
  }
  t.is(freeMemory({ ...machine, limit: 4 * GIB }), 3 * GIB);
  t.is(freeMemory({ ...machine, limit: 4 * GIB, used: 1.5 * GIB }), 2.5 * GIB);
  t.is(freeMemory({ ...machine, limit: 30 * GIB }), 20 * GIB);
  t.is(freeMemory({ ...machine, limit: GIB, used: 2 * GIB }), 0);
});

test('what a control group has taken is counted without copies of files, in both versions and in containers', async (t) => {
  const second = {
    'memory.current': '900\n',
    'memory.stat': 'anon 100\nfile 500\ninactive_file 300\nactive_file 200\n',
  };
  const first = {
    'memory.usage_in_bytes': '800\n',
    'memory.stat': 'active_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n',
  };
  const below = (folder: string, files: object) =>
    Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
  const cases: [Record<string, string>, number | null][] = [
    [{ 'proc/self/cgroup': '0::/job/7\n', ...below('sys/fs/cgroup/job/7', second) }, 400],
    [{ 'proc/self/cgroup': '0::/job/of/the/host\n', ...below('sys/fs/cgroup', second) }, 400],
    [{ 'proc/self/cgroup': '5:cpu:/\n4:memory:/job\n0::/\n', ...below('sys/fs/cgroup/memory/job', first) }, 750],
    [{ 'proc/self/cgroup': '4:cpuset,memory:/docker/x\n', ...below('sys/fs/cgroup/memory', first) }, 750],
    [{ 'proc/self/cgroup': '0::/\n' }, null],
    [{}, null],
  ];
  for (const [files, expected] of cases) t.is(groupMemory(await systemWith(t, files)), expected, JSON.stringify(files));
});

test('the budget is a part of what is free, what the user names, what the engine can, or what is assumed of a card', (t) => {
  t.is(memoryBudget(MACHINE, null, 10 * GIB), 6 * GIB);
  t.is(memoryBudget(MACHINE, 2048, 10 * GIB), 2 * GIB);
  t.is(memoryBudget({ ...MACHINE, limit: GIB }, null, 10 * GIB), GIB);
  const card: EngineMemory = { ...MACHINE, of: 'card' };
  t.is(memoryBudget(card, null, 2 * GIB), 8 * GIB, 'the memory of the machine says nothing of a card');
  t.is(memoryBudget(card, 24 * 1024, 2 * GIB), 24 * GIB);
});

test('where masks are cut in groups, whole groups are computed at once, or equal parts of one', (t) => {
  const chosen = (maskGroup: number | null, fitting: number, concurrency: number, regularizer = 'none') => {
    const flags = { imageSize: 96, patchSize: 8, arch: 'vit-tiny', batchSize: 100, maskGroup, regularizer };
    const { needed, choose } = plan(flags, concurrency);
    return choose(Math.ceil((needed.fixed + (fitting + 0.1) * needed.perImage) / 2 ** 20));
  };
  t.is(chosen(null, 100, 2), 100);
  t.is(chosen(16, 100, 1), 16);
  t.is(chosen(16, 100, 2), 32, 'a group in each part that is computed at the same time');
  t.is(chosen(16, 31, 2), 16, 'one, in halves');
  t.is(chosen(16, 10, 2), 8);
  t.is(chosen(16, 1, 2), 1);
  t.is(chosen(1000, 100, 2), 100);
  t.is(chosen(60, 100, 2), 100);
  t.is(chosen(16, 100, 1, 'vicreg'), 16);
});

test('more images are computed at once where blocks are recomputed, which is said where none fits', (t) => {
  const small = { arch: 'vit-small', batchSize: 256 };
  const [kept, recomputed] = [plan(small), plan({ ...small, recompute: true })];
  t.true(recomputed.choose(4096) > 3 * kept.choose(4096));
  const refused = { instanceOf: UserError, message: /with one image at once/ };
  t.regex(t.throws(() => kept.choose(1000), refused)?.report ?? '', /use --recompute, which gives the same result/);
  t.regex(t.throws(() => recomputed.choose(1000), refused)?.report ?? '', /use a smaller --arch/);
});

test('parts of a batch have any size, are as few as can be, and never take more than the budget', (t) => {
  const { needed, choose } = plan({ imageSize: 96, patchSize: 8, arch: 'vit-tiny', batchSize: 29 }, 2);
  const { fixed, perImage } = needed;
  const sizes = new Set<number>();
  for (let megabytes = 330; megabytes < 1500; megabytes += 13) {
    if (fixed + perImage > megabytes * 2 ** 20) {
      t.throws(() => choose(megabytes), { instanceOf: UserError });
      continue;
    }
    const size = choose(megabytes);
    t.true(fixed + size * perImage <= megabytes * 2 ** 20, `${size} images in ${megabytes} MiB`);
    const fewer = Math.ceil(29 / (Math.ceil(29 / size) - 1));
    t.true(size === 29 || fixed + fewer * perImage > megabytes * 2 ** 20, `${size} images in ${megabytes} MiB`);
    sizes.add(size);
    // What is computed side by side is no more than that either.
    const lengths = partLengths([29], size, 2).flat();
    for (let at = 0; at < lengths.length; at += 2) {
      t.true((lengths[at] as number) + (lengths[at + 1] ?? 0) <= Math.max(2, size), `${lengths} by ${size}`);
    }
  }
  t.true(
    [5, 10, 15].every((odd) => sizes.has(odd)),
    `${[...sizes]}`,
  );
});

test('whatever says that memory ran out, the message names the option and the value that help', (t) => {
  for (const said of [
    'Array buffer allocation failed',
    'std::bad_alloc',
    'Non-zero status code: Failed to allocate memory for requested buffer of size 123',
    'VK_ERROR_OUT_OF_DEVICE_MEMORY',
    'OOM when allocating tensor with shape[8]',
    'Cannot allocate memory',
  ]) {
    const atOnce = { flag: '--micro-batch-size', otherwise: 'a smaller --arch' } as const;
    t.regex(
      outOfMemory(new Error(said), { ...atOnce, images: 25 })?.report ?? '',
      /with 25 images[\s\S]*--micro-batch-size 13,/,
    );
    t.regex(
      outOfMemory(new Error(said), { ...atOnce, images: 1 })?.report ?? '',
      /with 1 image at[\s\S]*do: use a smaller --arch/,
    );
    t.regex(outOfMemoryForFeatures(new Error(said), 16)?.report ?? '', /--batch-size 8,/);
  }
  t.is(outOfMemoryForFeatures(new Error('no such node'), 16), undefined);
});
