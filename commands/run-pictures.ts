import { existsSync } from 'node:fs';
import { reasonOf, UserError } from '../core/base/errors.js';
import { latestCheckpoint } from '../core/checkpoint/folder.js';
import { cropSettings } from '../core/data/crop.js';
import { openData } from '../core/data/open.js';
import { startEngine } from '../core/engine/start.js';
import { loadNetwork } from '../core/eval/network.js';
import { pictureFacts } from '../core/report/feature-maps.js';
import type { PictureFields, ShownRun } from '../core/run/report-facts.js';
import type { ReportOptions } from './options/report.js';
import { pluginsWith } from './plugins.js';

type Asked = Pick<ReportOptions, 'pictures' | 'encoder' | 'engine' | 'device' | 'precision' | 'threads'>;

/**
 * What the newest checkpoints of runs make of some of their images. What cannot be shown is told on the page: a run that has
 * just begun has no checkpoint, and images may have been moved.
 */
export async function picturesOfRuns(runs: readonly ShownRun[], asked: Asked): Promise<PictureFields[]> {
  const none = (picturesNote: string): PictureFields => ({ pictures: null, picturesNote });
  if (asked.pictures === 0 && asked.encoder !== null) {
    throw new UserError(`--encoder ${asked.encoder} and no pictures contradict one another`, {
      expected: 'pictures that this encoder sees',
      remedy: 'use --pictures 16, for example, or leave --encoder out',
    });
  }
  if (asked.pictures === 0) return runs.map(() => none('No feature maps were asked for (--pictures).'));
  const fields: PictureFields[] = [];
  const failures: UserError[] = [];
  for (const run of runs) {
    if (!existsSync(latestCheckpoint(run.folder.checkpoints))) {
      fields.push(none('No feature maps: the run has no checkpoint yet.'));
      continue;
    }
    fields.push(
      await picturesOf(run, asked, 1 / runs.length).catch((error: unknown) => {
        if (!(error instanceof UserError)) throw error;
        failures.push(error);
        return none(`No feature maps: ${reasonOf(error)}.`);
      }),
    );
  }
  const [failure] = failures;
  if (failure && asked.encoder !== null && fields.every(({ pictures }) => pictures === null)) throw failure;
  return fields;
}

async function picturesOf({ folder, record }: ShownRun, asked: Asked, share: number): Promise<PictureFields> {
  const { options, run } = record;
  const { device, precision, threads } = asked;
  const plugins = await pluginsWith(options.plugins);
  const images = await openData(
    options.data,
    plugins.flatMap((plugin) => plugin.dataSets ?? []),
  );
  const engine = await startEngine(asked.engine, { device, precision, ...(threads !== null && { threads }) });
  const network = await loadNetwork(folder.path, asked.encoder);
  try {
    const { pixelLimit } = cropSettings(options);
    const pictures = await pictureFacts(engine, network, images, { count: asked.pictures, pixelLimit, share });
    const isOther = images.fingerprint !== run.data.fingerprint;
    const notes = [
      ...(network.facts.isUsualEncoder
        ? []
        : [`By the encoder ${asked.encoder}, which is not the one that is judged.`]),
      ...(isOther ? ['The images are not the same as when the run was started.'] : []),
    ];
    return { pictures, picturesNote: notes.length === 0 ? null : notes.join(' ') };
  } finally {
    network.dispose();
  }
}
