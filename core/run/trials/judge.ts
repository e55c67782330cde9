import { createHash } from 'node:crypto';
import { z } from 'zod';
import { writeFileAtomically } from '../../base/atomic.js';
import { readText, tryJson } from '../../base/text.js';
import type { Engine } from '../../engine/contract.js';
import { usualNeighbours } from '../../eval/classifiers.js';
import { classifyImages, type ExtractionSettings } from '../../eval/evaluate.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import { pixelNeighbours } from '../../eval/neighbours.js';
import type { FeatureNetwork } from '../../eval/network.js';
import { poolingOf } from '../../eval/pooling.js';
import type { EvaluationProgress } from '../../eval/progress.js';
import { LINEAR_PROTOCOL, type Voting } from '../../eval/protocols.js';
import type { Probed } from '../../report/judged-rows.js';

/** Most bytes of what was measured of one network. */
const LARGEST = 2 ** 16;

const percent = z.number().min(0).max(100);
const probedSchema = z.object({
  logistic: percent.nullable(),
  neighbours: percent.nullable(),
  k: z.int().nullable(),
  features: z.string().nullable(),
  pooling: z.string(),
  arch: z.string(),
  architecture: z.string(),
});

/** On what networks are judged, and by what. */
export interface Bench {
  engine: Engine;
  opened: OpenedData;
  /** Default: as in DINO. */
  voting?: Voting | undefined;
  settings: ExtractionSettings;
  progress: Pick<EvaluationProgress, 'images'>;
}

/** The same for all networks of the same architecture that make features of the same tokens. */
export function architectureOf({ size, patchSize, imageSize }: FeatureNetwork): string {
  return createHash('sha256')
    .update(JSON.stringify([size, patchSize, imageSize]))
    .digest('hex')
    .slice(0, 8);
}

/** Logistic regression and nearest neighbours on the frozen features of a network; what was measured before is read. */
export function probeNetwork(path: string, network: FeatureNetwork, bench: Bench): Promise<Probed> {
  return remembered(path, network.facts.fingerprint, async () => {
    const { engine, opened, voting, settings, progress } = bench;
    const how = { ...settings, ...viewsOf(opened), voting };
    const { logistic, neighbours } = await classifyImages(engine, network, opened.data, how, progress);
    const nearest = usualNeighbours(neighbours);
    return {
      logistic: logistic.top1.value,
      features: logistic.features,
      neighbours: nearest?.top1.value ?? null,
      k: nearest?.k ?? null,
      pooling: poolingOf(network.size),
      arch: network.arch,
      architecture: architectureOf(network),
    };
  });
}

/** Nearest neighbours by the pixels of the same images. */
export function probePixels(path: string, { engine, opened, voting, settings }: Bench): Promise<Probed> {
  return remembered(path, 'pixels', async () => {
    const { batchSize: _, ...views } = { ...settings, ...viewsOf(opened) };
    const nearest = usualNeighbours(await pixelNeighbours(engine, opened.data, views, voting));
    const nothing = { logistic: null, features: null, pooling: 'pixels', arch: '', architecture: '' };
    return { ...nothing, neighbours: nearest?.top1.value ?? null, k: nearest?.k ?? null };
  });
}

/** How the data set's own evaluation sees images. */
function viewsOf({ dataSet }: OpenedData) {
  const { transform, interpolation = 'bicubic' } = dataSet.protocol ?? LINEAR_PROTOCOL;
  return { transform, interpolation };
}

/**
 * What a file says of a network, or what is measured now.
 * @param fingerprint of the network: what was measured of another one does not count
 */
async function remembered(path: string, fingerprint: string, measure: () => Promise<Probed>): Promise<Probed> {
  const text = await readText(path, LARGEST).catch(() => ''); // it is measured again
  const known = z.object({ fingerprint: z.literal(fingerprint), probed: probedSchema }).safeParse(tryJson(text));
  if (known.success) return known.data.probed;
  const probed = probedSchema.parse(await measure()); // in the order in which it will be read
  await writeFileAtomically(path, `${JSON.stringify({ fingerprint, probed })}\n`);
  return probed;
}
