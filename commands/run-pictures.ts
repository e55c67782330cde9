import { existsSync } from 'node:fs';
import { count } from '../core/base/console.js';
import { reasonOf, UserError } from '../core/base/errors.js';
import { latestCheckpoint } from '../core/checkpoint/folder.js';
import { cropSettings } from '../core/data/crop.js';
import { openData } from '../core/data/open.js';
import { startEngine } from '../core/engine/start.js';
import { loadNetwork } from '../core/eval/network.js';
import type { RunFacts } from '../core/report/facts.js';
import { pictureFacts } from '../core/report/feature-maps.js';
import type { PictureFields, ShownRun } from '../core/run/report-facts.js';
import { EXTRACTION_OPTIONS } from './options/evaluation.js';
import type { ReportOptions } from './options/report.js';
import { configuredDataSets, pluginsWith } from './plugins.js';

const NOT_ASKED = 'No feature maps were asked for (--pictures).';
/** Pixels of the largest picture that is read, as commands have it where nothing else is said. */
const PIXEL_LIMIT = EXTRACTION_OPTIONS.maxMegapixels.default * 1e6;

type Running = Pick<ReportOptions, 'engine' | 'device' | 'precision' | 'threads'>;
type Asked = Running & Pick<ReportOptions, 'pictures' | 'encoder'>;

/**
 * What the newest checkpoints of runs make of some of their images. What cannot be shown is told on the page: a run that has
 * just begun has no checkpoint, and images may have been moved.
 */
export async function picturesOfRuns(runs: readonly ShownRun[], asked: Asked): Promise<PictureFields[]> {
  const none = (picturesNote: string): PictureFields => ({ pictures: null, picturesNote });
  requirePicturesFor(asked);
  if (asked.pictures === 0) return runs.map(() => none(NOT_ASKED));
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

/** @throws UserError for an encoder that is to be shown no pictures */
function requirePicturesFor({ pictures, encoder }: Asked): void {
  if (pictures > 0 || encoder === null) return;
  throw new UserError(`--encoder ${encoder} and no pictures contradict one another`, {
    expected: 'pictures that this encoder sees',
    remedy: 'use --pictures 16, for example, or leave --encoder out',
  });
}

async function picturesOf({ folder, record }: ShownRun, asked: Asked, share: number): Promise<PictureFields> {
  const { options, run } = record;
  const plugins = await pluginsWith(options.plugins);
  const images = await openData(
    options.data,
    plugins.flatMap((plugin) => plugin.dataSets ?? []),
  );
  const engine = await start(asked);
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

/**
 * A network that is no run, and what it makes of some images.
 * @param word what holds it; see `readAnyEncoder`
 * @throws UserError if there is no such network or no such images
 */
export async function networkOnPage(
  word: string,
  asked: Asked & Pick<ReportOptions, 'data'>,
  share: number,
): Promise<RunFacts> {
  requirePicturesFor(asked);
  const images = await openData(asked.data, await configuredDataSets());
  const engine = await start(asked);
  const network = await loadNetwork(word, asked.encoder);
  try {
    const { arch, imageSize, patchSize, facts } = network;
    const shown = { count: asked.pictures, pixelLimit: PIXEL_LIMIT, share };
    const pictures = asked.pictures === 0 ? null : await pictureFacts(engine, network, images, shown);
    const length = facts.epochs === null ? '' : `, ${count(facts.epochs, 'epoch')}`;
    const about = [
      { name: 'network', value: `${arch}, in ${facts.checkpoint}` },
      { name: 'trained', value: `${facts.method ?? 'by an unknown method'}${length}` },
      { name: 'trained on', value: facts.pretrainedOn ?? 'unknown images' },
      { name: 'sees', value: `${imageSize} px in patches of ${patchSize} px` },
      { name: 'pictures', value: `${images.length.toLocaleString('en-US')} images: ${images.description}` },
      { name: 'engine', value: `${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}` },
    ];
    const picturesNote = pictures === null ? NOT_ASKED : null;
    return { name: word, about, options: [], standing: null, curves: [], masks: null, pictures, picturesNote };
  } finally {
    network.dispose();
  }
}

async function start({ engine, device, precision, threads }: Running) {
  return startEngine(engine, { device, precision, ...(threads !== null && { threads }) });
}
