import { number } from '../config/option.js';
import { linear } from '../optim/schedules.js';
import type { OwnOptions, Rate } from './method.js';

/** Options of a moving average whose decay rises linearly. */
export function emaOptions(start: number, end: number) {
  return {
    ema: number({
      group: 'Optimisation',
      default: start,
      min: 0,
      max: 1,
      help: "decay of the moving average's weights at the start",
    }),
    finalEma: number({
      group: 'Optimisation',
      default: end,
      min: 0,
      max: 1,
      help: 'the same at the end, reached linearly',
    }),
  };
}
export type EmaOptions = OwnOptions<ReturnType<typeof emaOptions>>;

/** Decay of the moving average: linear from `ema`, which step 1 has, towards `finalEma` where the schedules end. */
export function emaDecay({ ema, finalEma }: EmaOptions): Rate {
  return (step, { stepsPerEpoch, epochs, scheduleStretch }) =>
    linear(ema, finalEma, (step - 1) / (stepsPerEpoch * epochs * scheduleStretch));
}
