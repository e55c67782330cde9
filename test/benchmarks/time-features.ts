import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { RandomStream } from '../../core/base/random.js';
import { round } from '../../core/base/rounding.js';
import type { EngineChoice, Precision } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { randomNetwork } from '../../core/eval/network.js';
import { prepareFeatures } from '../../core/eval/prepare-features.js';
import type { VitSize } from '../../core/nn/sizes.js';

/*
 * Times the features of one network in this process and prints one JSON document; features.ts starts it.
 */

/** An encoder, and how it is timed. */
export interface FeatureTiming {
  size: VitSize;
  imageSize: number;
  patchSize: number;
  batchSize: number;
  batches: number;
  threads: number;
}

type Own = { engine: EngineChoice; precision: Precision };

/** Ours by an engine, or transformers.js: the folder where it is installed, and that of the model. */
type Asked = FeatureTiming & (Own | { transformers: string; model: string });

/** Batches before the clock is started. */
const WARM_UP = 2;

const asked: Asked = JSON.parse(process.argv[2] as string);
const { batchSize, batches, imageSize } = asked;
const stream = new RandomStream(0, 'benchmark');
const images = Float32Array.from({ length: batchSize * imageSize ** 2 * 3 }, () => stream.normal());
const { by, version, threads, compute } = 'engine' in asked ? await ours(asked) : await transformersJs(asked);
const seconds: number[] = [];
let cpuStart = process.cpuUsage();
for (let batch = 0; batch < batches + WARM_UP; batch++) {
  if (batch === WARM_UP) cpuStart = process.cpuUsage();
  const started = performance.now();
  await compute(images);
  seconds.push((performance.now() - started) / 1000);
}
const cpu = process.cpuUsage(cpuStart);
const timed = seconds.slice(WARM_UP).sort((x, y) => x - y);
const result = {
  by,
  version,
  precision: 'precision' in asked ? asked.precision : 'float32',
  threads,
  imagesPerSecond: round(batchSize / timed[timed.length >> 1], 2),
  fastestImagesPerSecond: round(batchSize / timed[0], 2),
  // Of all threads: tells more than the clock where others use the machine too.
  cpuSecondsPerImage: round((cpu.user + cpu.system) / 1e6 / (batchSize * batches), 4),
  firstBatchSeconds: round(seconds[0], 2),
  peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
};
process.stdout.write(`${JSON.stringify(result)}\n`);

async function ours({ engine: name, precision, threads, size, patchSize }: FeatureTiming & Own) {
  const engine = await startEngine(name, { threads, precision });
  const facts = { weights: 'random', method: null, encoder: null, isUsualEncoder: true, epochs: null } as const;
  const network = randomNetwork(
    {
      ...{ encoder: {}, size, patchSize, imageSize, trainedImageSize: imageSize, arch: '', dispose: () => {} },
      facts: { ...facts, pretrainedOn: null, checkpoint: null, fingerprint: '' },
    },
    0,
  );
  const { compute } = prepareFeatures(engine, network);
  return { by: `ijepa, engine ${engine.name}`, version: engine.version, threads: engine.threads, compute };
}

async function transformersJs({
  transformers,
  model,
  threads,
}: FeatureTiming & { transformers: string; model: string }) {
  const require = createRequire(resolve(transformers, 'package.json'));
  const { AutoModel, Tensor, env } = require('@huggingface/transformers');
  const encoder = await AutoModel.from_pretrained(model, {
    local_files_only: true,
    device: 'cpu',
    dtype: 'fp32',
    use_external_data_format: true,
    session_options: { intraOpNumThreads: threads },
  });
  const compute = (pixels: Float32Array) =>
    encoder({ pixel_values: new Tensor('float32', pixels, [batchSize, 3, imageSize, imageSize]) });
  return { by: 'transformers.js, onnxruntime-node', version: env.version as string, threads, compute };
}
