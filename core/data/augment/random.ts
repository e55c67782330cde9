import { UserError } from '../../base/errors.js';
import type { RandomStream } from '../../base/random.js';
import type { Picture } from '../picture.js';
import { gaussianBlur } from './blur.js';
import {
  autoContrast,
  brightness,
  contrast,
  equalize,
  hue,
  mapValues,
  saturation,
  sharpness,
  solarize,
} from './colour.js';
import { flip, rotate, transform } from './geometry.js';

/** Random changes of a crop (reference code, `transforms.py`). */
export interface ChangeSettings {
  /** Probability of a left-right flip. */
  flip: number;
  /** Strength s of colour jitter, 0 to 1: 0 for none. */
  jitter: number;
  /** How strongly saturation is jittered, in units of brightness and contrast; 1 where it is left out. */
  saturation?: number;
  /** Probability of grey; where it is left out, 0.2 with colour jitter and 0 without it, as in the reference. */
  grey?: number;
  /** Probability of a Gaussian blur. */
  blur: number;
  /** Probability that values from 128 on are inverted (torchvision's RandomSolarize); none where it is left out. */
  solarize?: number;
}

/** torchvision's ColorJitter(0.8 s, 0.8 s, 0.8 s, 0.2 s) and RandomGrayscale as the reference uses them; it has a saturation of 1. */
const FACTORS = 0.8;
const TURN = 0.2;
const JITTERED = 0.8;
const GREY = 0.2;
/** Standard deviations of the blur, in pixels. */
const SIGMA = [0.1, 2] as const;
const SOLARIZED_FROM = 128;

/**
 * A flip, then brightness, contrast, saturation and hue in random order with probability 0.8, then grey, then a blur, then
 * solarization. Everything is drawn whether it is used or not, so that turning one on leaves the others as they were.
 */
export function randomChanges(picture: Picture, settings: ChangeSettings, stream: RandomStream): Picture {
  const { jitter, saturation: relative = 1, grey = jitter > 0 ? GREY : 0 } = settings;
  const isFlipped = stream.chance(settings.flip);
  const isJittered = stream.chance(JITTERED);
  const factor = (strength: number) => stream.uniform(1 - FACTORS * strength, 1 + FACTORS * strength);
  const [light, spread, colour] = [factor(jitter), factor(jitter), factor(jitter * relative)];
  const turn = stream.uniform(-TURN, TURN) * jitter;
  const order = stream.permutation(4);
  const isGrey = stream.chance(grey);
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
  if (isGrey) result = saturation(result, 0);
  if (isBlurred) result = gaussianBlur(result, sigma);
  return isSolarized ? solarize(result, SOLARIZED_FROM) : result;
}

/** Mean strength of RandAugment's operations, 0 to 10, and its standard deviation. */
type RandAugmentSettings = { magnitude: number; deviation: number };

/** Operations a picture, and how probable each is. */
const LAYERS = 2;
const PROBABILITY = 0.5;
const STRONGEST = 10;

/**
 * timm's operations whose effect grows with the magnitude m.
 * @param part m / 10, 0 to 1
 * @param sign 1 or -1: the direction of what has two
 */
type Operation = (picture: Picture, part: number, sign: number) => Picture;

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  AutoContrast: autoContrast,
  Equalize: equalize,
  Invert: (picture) => mapValues(picture, (value) => 255 - value),
  Rotate: (picture, part, sign) => rotate(picture, sign * (part * 30)),
  PosterizeIncreasing(picture, part) {
    const bits = 4 - Math.trunc(part * 4); // the highest, which are kept; none of them: black (Pillow from 13 on refuses 0)
    return mapValues(picture, (value) => value & (0xff << (8 - bits)));
  },
  SolarizeIncreasing: (picture, part) => solarize(picture, 256 - Math.trunc(part * 256)),
  SolarizeAdd(picture, part) {
    const amount = Math.trunc(part * 110);
    return mapValues(picture, (value) => (value < 128 ? Math.min(255, value + amount) : value));
  },
  ColorIncreasing: (picture, part, sign) => saturation(picture, enhancement(part, sign)),
  ContrastIncreasing: (picture, part, sign) => contrast(picture, enhancement(part, sign)),
  BrightnessIncreasing: (picture, part, sign) => brightness(picture, enhancement(part, sign)),
  SharpnessIncreasing: (picture, part, sign) => sharpness(picture, enhancement(part, sign)),
  ShearX: (picture, part, sign) => transform(picture, [1, sign * (part * 0.3), 0, 0, 1, 0]),
  ShearY: (picture, part, sign) => transform(picture, [1, 0, 0, sign * (part * 0.3), 1, 0]),
  TranslateXRel: (picture, part, sign) => transform(picture, [1, 0, sign * (part * 0.45) * picture.width, 0, 1, 0]),
  TranslateYRel: (picture, part, sign) => transform(picture, [1, 0, 0, 0, 1, sign * (part * 0.45) * picture.height]),
};
const NAMES = Object.keys(OPERATIONS);

/** 1 is no change. */
function enhancement(part: number, sign: number): number {
  return Math.max(0.1, 1 + sign * (part * 0.9));
}

/**
 * Two operations, each drawn with replacement and applied with probability 1/2 in a strength from a normal distribution,
 * cut to 0 to 10 (timm's RandAugment with its increasing operations, bicubic, filled with the mean colour). Everything is
 * drawn whether it is used or not.
 */
export function randAugment(picture: Picture, settings: RandAugmentSettings, stream: RandomStream): Picture {
  let result = picture;
  for (let layer = 0; layer < LAYERS; layer++) {
    const operation = OPERATIONS[stream.pick(NAMES)];
    const isApplied = stream.chance(PROBABILITY);
    const drawn = settings.magnitude + settings.deviation * stream.normal();
    const part = Math.max(0, Math.min(STRONGEST, drawn)) / STRONGEST;
    const sign = stream.chance(0.5) ? -1 : 1;
    if (isApplied) result = operation(result, part, sign);
  }
  return result;
}

/**
 * Reads RandAugment's settings as timm names them: `rand-m9-mstd0.5-inc1`; null for `none`.
 * @throws UserError if it is neither
 */
export function readRandAugment(name: string): RandAugmentSettings | null {
  if (name === 'none') return null;
  const [, magnitude, deviation] = /^rand-m(\d+(?:\.\d+)?)-mstd(\d+(?:\.\d+)?)-inc1$/.exec(name) ?? [];
  const settings = { magnitude: Number(magnitude), deviation: Number(deviation) };
  if (settings.magnitude <= STRONGEST && Number.isFinite(settings.deviation)) return settings;
  throw new UserError(`RandAugment cannot be '${name}'`, {
    expected: "'none', or timm's name with a magnitude from 0 to 10 and its deviation, as 'rand-m9-mstd0.5-inc1'",
  });
}
