import type { Accuracies, EvaluationResult } from '../../core/eval/results.js';

/** Made-up accuracies around a top-1 value. */
export function accuracies(top1: number): Accuracies {
  const around = (value: number) => ({ value, low: Math.max(0, value - 1.5), high: Math.min(100, value + 1.25) });
  return { top1: around(top1), top5: around(Math.min(100, top1 + 10)) };
}

type Changes = Partial<Omit<EvaluationResult, 'network'>> & {
  top1?: number;
  network?: Partial<EvaluationResult['network']>;
};

/** A made-up result, on the whole of CIFAR100 by the paper's protocol unless told otherwise. */
export function evaluationResult({ top1 = 40, network = {}, ...changes }: Changes = {}): EvaluationResult {
  const isRandom = network.weights === 'random';
  return {
    format: 'ijepa-evaluation-1',
    kind: 'transfer',
    dataSet: 'cifar100',
    dataDescription: 'CIFAR100 in data/cifar-100-binary',
    classes: 100,
    trainImages: 50_000,
    testImages: 10_000,
    network: {
      weights: 'pretrained',
      method: isRandom ? null : 'I-JEPA',
      encoder: null,
      arch: 'ViT-S/16',
      epochs: isRandom ? null : 100,
      pretrainedOn: isRandom ? null : 'folder of photographs',
      checkpoint: isRandom ? null : 'runs/a/checkpoints/latest.safetensors',
      imageSize: 224,
      ...network,
    },
    protocolName: 'paper',
    protocol: {
      optimiser: 'sgd',
      epochs: 28,
      batchSize: 256,
      baseLearningRate: 0.01,
      schedule: { kind: 'steps', atEpochs: [8, 16, 24] },
      momentum: 0.9,
      nesterov: true,
      weightDecays: [0.0005],
      learningRateFactors: [1],
      features: ['last', 'last-4'],
      norms: ['none', 'batch'],
      transform: 'crop',
    },
    best: { ...accuracies(top1), name: 'last, batch norm' },
    heads: [{ ...accuracies(top1), name: 'last, batch norm', curve: [top1 / 2, top1] }],
    selection: 'test',
    ridge: accuracies(top1 - 2),
    logistic: { ...accuracies(top1 - 1), features: 'last', c: 10 },
    neighbours: [
      { k: 10, ...accuracies(top1 - 4) },
      { k: 20, ...accuracies(top1 - 5) },
    ],
    pixelNeighbours: [{ k: 20, ...accuracies(15) }],
    fineTuning: null,
    compute: null,
    engine: { name: 'wasm', version: '4.22.0', device: 'CPU', threads: 2 },
    seed: 0,
    programVersion: '0.1.0',
    measuredAt: '2026-01-02T03:04:05.000Z',
    ...changes,
  };
}
