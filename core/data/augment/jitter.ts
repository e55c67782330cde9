import type { RandomStream } from '../../base/random.js';
import type { Picture } from '../picture.js';
import { gaussianBlur } from './blur.js';
import { brightness, contrast, hue, saturation, solarize } from './colour.js';
import { flip } from './geometry.js';

/** Random changes of a crop (reference code, `transforms.py`). */
export interface ChangeSettings {
  /** Probability of a left-right flip. */
  flip: number;
  /** Strength s of colour jitter, 0 to 1: 0 for none. */
  jitter: number;
  /** Probability of a Gaussian blur. */
  blur: number;
  /** Probability that values from 128 on are inverted (torchvision's RandomSolarize); none where it is left out. */
  solarize?: number;
}

/** torchvision's ColorJitter(0.8 s, 0.8 s, 0.8 s, 0.2 s) and RandomGrayscale as the reference uses them. */
const FACTORS = 0.8;
const TURN = 0.2;
const JITTERED = 0.8;
const GREY = 0.2;
/** Standard deviations of the blur, in pixels. */
const SIGMA = [0.1, 2] as const;
const SOLARIZED_FROM = 128;

/**
 * A flip, then brightness, contrast, saturation and hue in random order with probability 0.8, then grey with probability
 * 0.2, then a blur, then solarization. Everything is drawn whether it is used or not, so that turning one on leaves the others as they were.
 */
export function randomChanges(picture: Picture, settings: ChangeSettings, stream: RandomStream): Picture {
  const { jitter } = settings;
  const isFlipped = stream.chance(settings.flip);
  const isJittered = stream.chance(JITTERED);
  const factor = () => stream.uniform(1 - FACTORS * jitter, 1 + FACTORS * jitter);
  const [light, spread, colour] = [factor(), factor(), factor()];
  const turn = stream.uniform(-TURN, TURN) * jitter;
  const order = stream.permutation(4);
  const isGrey = stream.chance(GREY);
  const isBlurred = stream.chance(settings.blur);
  const sigma = stream.uniform(...SIGMA);
  const isSolarized = stream.chance(settings.solarize ?? 0);

  let result = isFlipped ? flip(picture) : picture;
  const changes = [
    () => brightness(result, light),
    () => contrast(result, spread),
    () => saturation(result, colour),
    () => hue(result, turn),
  ];
  if (jitter > 0 && isJittered) for (const at of order) result = changes[at]();
  if (jitter > 0 && isGrey) result = saturation(result, 0);
  if (isBlurred) result = gaussianBlur(result, sigma);
  return isSolarized ? solarize(result, SOLARIZED_FROM) : result;
}
