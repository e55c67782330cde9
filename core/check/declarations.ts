import type { BatchDraw, Method } from '../methods/method.js';
import type { RunLength } from '../optim/schedules.js';

/** What is wrong with how networks, encoders and rates name one another. */
export function networkFaults({ networks, encoders, rates, terms, logs, views }: Method): string[] {
  const faults: string[] = [];
  for (const [name, { role, shapes }] of Object.entries(networks)) {
    if (role.by !== 'ema') continue;
    const followed = networks[role.of];
    if (followed?.role.by !== 'gradient') faults.push(`${name} follows ${role.of}, which is not trained`);
    else if (Object.keys(shapes).some((parameter) => followed.shapes[parameter]?.join() !== shapes[parameter]?.join()))
      faults.push(`${name} has parameters that ${role.of}, which it follows, has not`);
    if (!rates[role.decay]) faults.push(`${name}: there is no rate '${role.decay}'`);
  }
  const absent = Object.values(encoders).find((network) => !networks[network]);
  if (absent !== undefined) faults.push(`the encoder ${absent} is none of them`);
  if (Object.keys(encoders).length === 0) faults.push('none is an encoder that can be evaluated');
  for (const [what, items] of Object.entries({ terms, logs, views })) {
    const names = items.map(({ name }) => name);
    if (new Set(names).size < names.length) faults.push(`two ${what} have one name`);
  }
  return faults;
}

/** Which of its rates are NaN or infinite at one of some steps. */
export function rateFaults({ rates }: Method, steps: readonly number[], length: RunLength): string[] {
  return Object.entries(rates)
    .filter(([, rate]) => !steps.every((step) => Number.isFinite(rate(step, length))))
    .map(([name]) => `${name} is not always a number`);
}

/**
 * What is wrong with what is drawn for a batch.
 * @param draw draws from a new stream of the same random numbers
 */
export function drawFaults(draw: () => BatchDraw, imageCount: number, patchCount: number): string[] {
  const [first, again] = [draw(), draw()];
  if (JSON.stringify(first) !== JSON.stringify(again))
    return ['the same random numbers give other masks the second time'];
  const images = first.groups.reduce((sum, group) => sum + group.imageCount, 0);
  const faults = images === imageCount ? [] : [`groups have ${images} images, the batch ${imageCount}`];
  for (const [name, mask] of first.groups.flatMap(({ masks }) => Object.entries(masks))) {
    if (mask.patchCount !== patchCount)
      faults.push(`${name}: an image has ${patchCount} patches, not ${mask.patchCount}`);
    for (let from = 0; from < mask.indices.length; from += mask.tokenCount) {
      const patches = mask.indices.subarray(from, from + mask.tokenCount);
      if (patches.some((patch) => patch < 0 || patch >= patchCount))
        faults.push(`${name}: a patch is outside the grid`);
      if (new Set(patches).size < patches.length) faults.push(`${name}: a patch comes twice`);
    }
  }
  return [...new Set(faults)];
}
