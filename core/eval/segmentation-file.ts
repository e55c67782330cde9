import type { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { segmentation } from './result-parts.js';
import { checkedEntry, evaluationResult, readList } from './results.js';

/*
 * What was measured of networks by the classes of pixels alone, without labelled images: segmentation.json.
 */

/** The name of such a file, by which it is known. */
export const SEGMENTATION_FILE = 'segmentation.json';

const schema = evaluationResult
  .pick({ network: true, engine: true, seed: true, programVersion: true, measuredAt: true })
  .extend({ segmentation });

export type SegmentationResult = z.infer<typeof schema>;

/** Writes results as a JSON list, whole or not at all. */
export async function writeSegmentations(path: string, results: readonly SegmentationResult[]): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(results, null, 2)}\n`);
}

/**
 * Reads such a file.
 * @throws UserError if it cannot be read or is damaged; names the field
 */
export async function readSegmentations(path: string): Promise<SegmentationResult[]> {
  return readList(path, (entry, number) => checkedEntry(schema, path, entry, number));
}
