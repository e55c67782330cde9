import type { EngineChoice } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { trainHeads } from '../../core/eval/heads.js';
import { nearestNeighbours } from '../../core/eval/neighbours.js';
import type { Samples } from '../../core/eval/samples.js';
import type { ProbeProtocol } from '../../core/plugin.js';

/*
 * Times 16 linear heads and nearest neighbours on features of random numbers: `npm run bench:probe`, or
 * `npm run bench:probe -- ENGINE EPOCHS BATCH`.
 */
const WIDTH = 768;
const CLASSES = 100;
const [engineName = 'auto', epochs = '28', batch = '1024'] = process.argv.slice(2);

const PROTOCOL: ProbeProtocol = {
  optimiser: 'sgd',
  epochs: Number(epochs),
  batchSize: Number(batch),
  baseLearningRate: 0.01,
  schedule: { kind: 'steps', atEpochs: [8, 16, 24] },
  momentum: 0.9,
  nesterov: true,
  weightDecays: [0.0005, 0],
  learningRateFactors: [1, 0.3, 0.1, 0.03],
  features: ['last'],
  norms: ['batch', 'none'],
  transform: 'crop',
};

function randomSamples(rows: number): Samples {
  return {
    rows,
    width: WIDTH,
    layers: 1,
    data: Float32Array.from({ length: rows * WIDTH }, () => Math.random() - 0.5),
    labels: Int32Array.from({ length: rows }, () => Math.floor(Math.random() * CLASSES)),
  };
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const engine = await startEngine(engineName as EngineChoice);
const [train, test] = [randomSamples(50_000), randomSamples(10_000)];

const headsStart = performance.now();
let trained = 0;
await trainHeads(engine, {
  train: async () => train,
  test,
  classes: CLASSES,
  protocol: PROTOCOL,
  seed: 0,
  onEpoch: () => {
    trained++;
  },
});
const seconds = (performance.now() - headsStart) / 1000;
say(`${engine.name}, ${engine.threads} threads: 16 heads, 50,000 x ${WIDTH}, ${CLASSES} classes, batch ${batch}`);
say(`  ${trained} epochs with a test of 10,000 after each: ${seconds.toFixed(1)} s`);

const neighboursStart = performance.now();
await nearestNeighbours(engine, train, test, CLASSES);
say(`  nearest neighbours of 10,000 among 50,000: ${((performance.now() - neighboursStart) / 1000).toFixed(1)} s`);
