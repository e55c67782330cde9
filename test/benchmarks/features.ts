import { parseArgs } from 'node:util';
import { RandomStream } from '../../core/base/random.js';
import type { EngineChoice } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { prepareFeatures } from '../../core/eval/features.js';
import { type FeatureNetwork, randomNetwork } from '../../core/eval/network.js';
import { ARCHITECTURES } from '../../core/nn/sizes.js';

/*
 * Times the features of a ViT-S/16 at 224 pixels on random images and prints one JSON document.
 * npm run bench:features -- --engine onnx --threads 2 --batch-size 16 --batches 7
 */
const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'auto' },
    threads: { type: 'string' },
    'batch-size': { type: 'string', default: '16' },
    batches: { type: 'string', default: '7' },
  },
});

/** Batches before the clock is started. */
const WARM_UP = 2;
const IMAGE_SIZE = 224;

const batchSize = Number(values['batch-size']);
const engine = await startEngine(values.engine as EngineChoice, {
  ...(values.threads !== undefined && { threads: Number(values.threads) }),
});
const sizes: FeatureNetwork = {
  encoder: {},
  size: ARCHITECTURES['vit-small'],
  patchSize: 16,
  imageSize: IMAGE_SIZE,
  trainedImageSize: IMAGE_SIZE,
  arch: 'ViT-S/16',
  facts: {
    weights: 'random',
    method: null,
    encoder: null,
    isUsualEncoder: true,
    epochs: null,
    pretrainedOn: null,
    checkpoint: null,
    fingerprint: '',
  },
  dispose: () => {},
};
const network = randomNetwork(sizes, 0);
const stream = new RandomStream(0, 'benchmark');
const images = Float32Array.from({ length: batchSize * IMAGE_SIZE ** 2 * 3 }, () => stream.normal());
const { compute } = prepareFeatures(engine, network);
const seconds: number[] = [];
let cpuStart = process.cpuUsage();
for (let batch = 0; batch < Number(values.batches) + WARM_UP; batch++) {
  if (batch === WARM_UP) cpuStart = process.cpuUsage();
  const started = performance.now();
  await compute(images);
  seconds.push((performance.now() - started) / 1000);
}
const cpu = process.cpuUsage(cpuStart);
const timed = seconds.slice(WARM_UP).sort((x, y) => x - y);
const median = timed[Math.floor(timed.length / 2)] as number;
process.stdout.write(
  `${JSON.stringify({
    engine: engine.name,
    version: engine.version,
    threads: engine.threads,
    arch: network.arch,
    imageSize: IMAGE_SIZE,
    batchSize,
    imagesPerSecond: Number((batchSize / median).toFixed(2)),
    fastestImagesPerSecond: Number((batchSize / (timed[0] as number)).toFixed(2)),
    // Of all threads: tells more than the clock where others use the machine too.
    cpuSecondsPerImage: Number(((cpu.user + cpu.system) / 1e6 / (batchSize * timed.length)).toFixed(4)),
    firstBatchSeconds: Number((seconds[0] as number).toFixed(2)),
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  })}\n`,
);
