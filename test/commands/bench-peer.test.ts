import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type PeerStep, timePeer } from '../../commands/bench-peer.js';
import { UserError } from '../../core/base/errors.js';
import { ijepa, ijepaHere, temporaryFolder } from '../helpers/command.js';

const MEASURED = {
  ...{ version: '9.9.9', threads: 1, secondsPerStep: 2, minSeconds: 1, imagesPerSecond: 8, firstStepSeconds: 3 },
  ...{ peakMemoryMiB: 100, parameters: 10, loss: 0.5 },
};
const STEP: PeerStep = {
  ...{ imageSize: 64, patchSize: 8, batchSize: 16, steps: 1, masks: { context: [1, 30], target: [4, 10] } },
  encoder: { dim: 96, depth: 4, heads: 3, mlpRatio: 4 },
  predictor: { dim: 48, depth: 2, heads: 3, mlpRatio: 4 },
};
const SLOW_COMPILER = `print({ ...MEASURED, secondsPerStep: asked.compile ? 2.5 : 2 })`;
const FAST_COMPILER = `print({ ...MEASURED, secondsPerStep: asked.compile ? 1.5 : 2 })`;
const NO_COMPILER = `if (asked.compile) fail('Traceback\\n  raise\\ntorch.exc.InductorError: no compiler\\n\\nSet X=1 for more'); print(MEASURED)`;

/** A program in place of Python; its script may use `asked`, what it was given, `print` and `fail`. */
async function fakePython(t: ExecutionContext, script: string): Promise<string> {
  const path = join(await temporaryFolder(t), 'python');
  const head = [
    `#!${process.execPath}`,
    `const MEASURED = ${JSON.stringify(MEASURED)};`,
    "if (process.argv[2] === '-c') process.exit(0);", // it is asked whether it has PyTorch
    'const asked = JSON.parse(process.argv[3]);',
    'const print = (result) => console.log(JSON.stringify(result));',
    'const fail = (text) => { console.error(text); process.exit(1); };',
  ];
  await writeFile(path, [...head, script].join('\n'), { mode: 0o755 });
  return path;
}

test('the fastest way in which PyTorch computes a step is what counts', async (t) => {
  const fast = timePeer(await fakePython(t, FAST_COMPILER), STEP, 'float32', 1);
  t.like(fast, { mode: 'fused AdamW, torch.compile', secondsPerStep: 1.5, precision: 'float32', leftOut: [] });
  const slow = timePeer(await fakePython(t, SLOW_COMPILER), STEP, 'float32', 1);
  t.like(slow, { mode: 'fused AdamW', secondsPerStep: 2 });
});

test('a compiled step that fails is left out with the reason', async (t) => {
  const result = timePeer(await fakePython(t, NO_COMPILER), STEP, 'float32', 1);
  t.is(result.mode, 'fused AdamW');
  t.deepEqual(result.leftOut, [{ mode: 'fused AdamW, torch.compile', reason: 'torch.exc.InductorError: no compiler' }]);
});

test('PyTorch is given the sizes, the threads and the precision', async (t) => {
  const says = "fail('Error: ' + JSON.stringify({ asked, threads: process.env.OMP_NUM_THREADS }))";
  const python = await fakePython(t, says);
  const error = t.throws(() => timePeer(python, { ...STEP, steps: 3 }, 'bfloat16', 2));
  const { asked, threads } = JSON.parse(error?.message.replace(/^.*Error: /, '') ?? '');
  t.deepEqual(asked, { ...STEP, steps: 3, precision: 'bfloat16', threads: 2, compile: false });
  t.is(threads, '2');
});

test('a Python that cannot time the step is named, with the reason', async (t) => {
  for (const [script, message] of [
    [`fail("ModuleNotFoundError: No module named 'torch'")`, /python has no PyTorch/],
    [
      `fail('Traceback\\nRuntimeError: fused AdamW is not there')`,
      /step failed: RuntimeError: fused AdamW is not there$/,
    ],
    [`process.kill(process.pid, 'SIGKILL')`, /step failed: the process ended with SIGKILL$/],
    [`print({ loss: 1 })`, /python did not print what was measured$/],
    [`console.log('Python 2.7')`, /python did not print what was measured$/],
  ] as const) {
    const python = await fakePython(t, script);
    const error = t.throws(() => timePeer(python, STEP, 'float32', 1));
    t.true(error instanceof UserError, error?.message);
    t.regex(error?.message ?? '', message);
  }
  t.throws(() => timePeer('/nowhere/python', STEP, 'float32', 1), {
    message: 'the Python /nowhere/python does not exist',
  });
});

test('bench --peer prints both in turn, the ratio of each pair and their median', async (t) => {
  const python = await fakePython(t, NO_COMPILER);
  const size = '--config tiny --engine wasm --set depth=1,dim=24,heads=1 --steps 1'.split(' ');
  const args = ['bench', ...size, '--peer', '--python', python];
  const json = await ijepa([...args, '--json']);
  t.is(json.code, 0, json.stderr);
  const [{ engine, imagesPerSecond, peer, ratio, medianRatio }, ...others] = JSON.parse(json.stdout);
  t.deepEqual([engine, medianRatio, others], ['wasm', ratio, []]);
  t.like(peer, { framework: 'PyTorch', version: '9.9.9', imagesPerSecond: 8 });
  t.true(Math.abs(ratio - imagesPerSecond / 8) < 1e-3);

  const { code, stdout, stderr } = await ijepa([...args, '--pairs', '2']);
  t.is(code, 0, stderr);
  const pair =
    /^wasm .*config tiny.*\n(?: {2}\w.*\n){4} {2}left out {4}PyTorch, fused AdamW, torch.compile: torch.exc.InductorError: no compiler\n {2}peer {8}PyTorch 9\.9\.9, float32, fused AdamW: 2 s median, 8 images\/s, 100 MiB\n {2}ratio {7}([\d.]+) times PyTorch's images a second\n/gm;
  const ratios = [...stdout.matchAll(pair)].map(([, ratio]) => Number(ratio));
  t.is(ratios.length, 2, stdout);
  const median = Number(/^wasm: ([\d.]+) times PyTorch's images a second, the median of 2 pairs\n$/m.exec(stdout)?.[1]);
  t.true(Math.abs(median - ((ratios[0] ?? 0) + (ratios[1] ?? 0)) / 2) < 1e-3);
});

test.serial('what cannot be held against PyTorch is refused before anything is timed', async (t) => {
  for (const [args, message] of [
    [['--peer', '--method', 'mae'], /--peer cannot time a step with method mae[\s\S]*method ijepa, loss smooth-l1/],
    [['--peer', '--set', 'optimiser=sgd'], /--peer cannot time a step with optimiser sgd/],
    [['--pairs', '3'], /--pairs needs --peer/],
    [['--peer', '--drawn-masks'], /--peer times a step with fixed masks/],
    [['--peer', '--data', 'folder'], /--peer is about the training step/],
    [['--peer', '--python', '/nowhere/python'], /the Python \/nowhere\/python does not exist/],
    [['--peer', '--python', '/bin/false'], /PyTorch does not load in the Python \/bin\/false: status 1/],
  ] as const) {
    const { code, stdout, stderr } = await ijepaHere(['bench', ...args]);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, message);
  }
});
