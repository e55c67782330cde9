import type { FeatureKind, HeadNorm, ProbeProtocol } from '../plugin.js';

/** What tells a linear head from the others of a grid. */
export interface HeadChoice {
  features: FeatureKind;
  norm: HeadNorm;
  /** Multiplies the protocol's learning rate. */
  learningRateFactor: number;
  weightDecay: number;
}

/** All combinations of a protocol's grid. */
export function headChoices(protocol: ProbeProtocol): HeadChoice[] {
  return protocol.features.flatMap((features) =>
    protocol.norms.flatMap((norm) =>
      protocol.learningRateFactors.flatMap((learningRateFactor) =>
        protocol.weightDecays.map((weightDecay) => ({ features, norm, learningRateFactor, weightDecay })),
      ),
    ),
  );
}

/** A head in words: 'last, batch norm, lr 1x, wd 0.0005'. */
export function headName({ features, norm, learningRateFactor, weightDecay }: HeadChoice): string {
  return `${features}, ${norm === 'batch' ? 'batch norm' : 'no norm'}, lr ${learningRateFactor}x, wd ${weightDecay}`;
}
