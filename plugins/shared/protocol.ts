import type { ProbeProtocol } from '../../core/plugin.js';

/** The linear evaluation of transfer (paper, appendix A.3; VISSL's configurations): SGD on a frozen encoder, four heads. */
export function transferProtocol(
  epochs: number,
  schedule: ProbeProtocol['schedule'],
  transform: ProbeProtocol['transform'],
  interpolation: 'bicubic' | 'bilinear',
): ProbeProtocol {
  return {
    optimiser: 'sgd',
    epochs,
    batchSize: 256,
    baseLearningRate: 0.01,
    schedule,
    momentum: 0.9,
    nesterov: true,
    weightDecays: [0.0005],
    learningRateFactors: [1],
    features: ['last', 'last-4'],
    norms: ['batch', 'none'],
    transform,
    interpolation,
  };
}
