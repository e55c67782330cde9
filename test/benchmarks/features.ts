import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { availableCores } from '../../core/engine/machine.js';
import { ARCHITECTURES } from '../../core/nn/sizes.js';
import { ROOT } from '../helpers/paths.js';
import type { FeatureTiming } from './time-features.js';

/*
 * Times the features of an encoder with random weights on random pixels, without the decoding of images, and prints one JSON
 * document a line; others after ours, each in a process of its own:
 *
 * npm run bench:features -- --arch vit-small --engine onnx,openvino,openvino:bfloat16 --threads 2
 * npm run bench:features -- --arch vit-huge --patch-size 14 --python PATH          PyTorch, in float32 and bfloat16
 * npm i --prefix /tmp/x --ignore-scripts @huggingface/transformers
 * npm run bench:features -- --python PATH --transformers /tmp/x                    transformers.js as well
 *
 * The Python has torch, and, to write a model for transformers.js, onnx and onnxscript.
 */
const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: 'vit-small' },
    'patch-size': { type: 'string', default: '16' },
    engine: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: String(availableCores()) },
    'batch-size': { type: 'string', default: '16' },
    batches: { type: 'string', default: '7' },
    python: { type: 'string' },
    transformers: { type: 'string' },
  },
});
const { python, transformers } = values;
if (transformers !== undefined && python === undefined) throw new Error('--transformers needs --python');

const asked: FeatureTiming = {
  size: ARCHITECTURES[values.arch as keyof typeof ARCHITECTURES],
  imageSize: 224,
  patchSize: Number(values['patch-size']),
  batchSize: Number(values['batch-size']),
  batches: Number(values.batches),
  threads: Number(values.threads),
};
const TIMER = fileURLToPath(new URL('./time-features.js', import.meta.url));
const PEER = join(ROOT, 'test', 'benchmarks', 'torch_features.py');

for (const named of values.engine.split(',')) {
  const [engine, precision = 'float32'] = named.split(':');
  time(process.execPath, TIMER, { engine, precision });
}
if (python !== undefined) for (const precision of ['float32', 'bfloat16']) time(python, PEER, { precision });
if (python !== undefined && transformers !== undefined) {
  const model = mkdtempSync(join(tmpdir(), 'ijepa-features-'));
  try {
    run(python, PEER, { exportTo: model });
    time(process.execPath, TIMER, { transformers, model });
  } finally {
    rmSync(model, { recursive: true, force: true });
  }
}

/** Prints what a script measured. */
function time(program: string, script: string, more: object): void {
  const { imageSize, patchSize, batchSize } = asked;
  const work = { arch: values.arch, imageSize, patchSize, batchSize };
  process.stdout.write(`${JSON.stringify({ ...work, ...JSON.parse(run(program, script, more)) })}\n`);
}

/** Lets a script do its work, and gives what it prints. */
function run(program: string, script: string, more: object): string {
  const { error, status, signal, stdout, stderr } = spawnSync(
    program,
    [script, JSON.stringify({ ...asked, ...more })],
    { encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: String(asked.threads) } },
  );
  if (status !== 0) throw error ?? new Error(`${program} ended with ${signal ?? status}:\n${stderr}`);
  return stdout;
}
