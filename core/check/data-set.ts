import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../base/errors.js';
import type { DataSet, ImageCollection, LabelledData } from '../contract/data-sets.js';
import { PluginError } from '../contract/extension.js';
import { centreCrop } from '../data/crop.js';
import { dataSetProblem } from '../plugins/contract.js';

/** Images of more pixels are not decoded. */
const PIXEL_LIMIT = 1e8;

/**
 * Holds a data set against the contract of plugins, on data that is whole.
 * @param trial `argument`: what follows its name after a colon; `folder`: one that `locate` must find it in, where it lies
 *   in one; `decoded`: how many images of each part are decoded
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findDataSetFaults(
  dataSet: DataSet,
  { argument, folder, decoded = 64 }: { argument: string | null; folder?: string; decoded?: number },
): Promise<string[]> {
  const problem = dataSetProblem(dataSet);
  if (problem !== null) return [problem];
  const faults: string[] = [];
  const attempt = async (what: string, check: () => Promise<readonly string[]>) => {
    try {
      for (const fault of await check()) faults.push(`${what}: ${fault}`);
    } catch (error) {
      faults.push(`${what}: failed: ${reasonOf(error)}`);
    }
  };
  await attempt('open', async () => {
    const [first, second] = [await dataSet.open(argument), await dataSet.open(argument)];
    return [...imageFaults(first), ...sameFaults(first, second), ...(await decodingFaults(first, decoded))];
  });
  await attempt('open of what is not there', () => refusalFaults(dataSet));
  if (dataSet.openLabelled) {
    await attempt('openLabelled', async () => {
      const [first, second] = [await dataSet.openLabelled?.(argument), await dataSet.openLabelled?.(argument)];
      if (!first || !second) return first === second ? [] : ['gives labels at one time only'];
      return [...labelFaults(first), ...sameFaults(first.train, second.train), ...sameFaults(first.test, second.test)];
    });
    await attempt('test images', async () =>
      decodingFaults((await dataSet.openLabelled?.(argument))?.test ?? (await dataSet.open(argument)), decoded),
    );
  }
  if (dataSet.locate && folder !== undefined) await attempt('locate', () => locatingFaults(dataSet, argument, folder));
  faults.push(...protocolFaults(dataSet));
  return faults;
}

function imageFaults(images: ImageCollection): string[] {
  const faults: string[] = [];
  if (!(Number.isInteger(images.length) && images.length >= 1)) return [`has ${images.length} images`];
  if (!images.description) faults.push('has no description');
  if (images.fingerprint.length < 8)
    faults.push(`the fingerprint '${images.fingerprint}' is too short to tell data apart`);
  const names = namesOf(images);
  if (names.includes('')) faults.push('has an image without a name');
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) faults.push(`has two images named ${twice}`);
  return faults;
}

function labelFaults({ classes, train, test }: LabelledData): string[] {
  const faults = [...imageFaults(train), ...imageFaults(test)];
  if (classes.length === 0) faults.push('has no classes');
  if (new Set(classes).size < classes.length) faults.push('has two classes of one name');
  const known = new Set<number>();
  for (const [part, images] of Object.entries({ train, test })) {
    for (let index = 0; index < images.length; index++) {
      const label = images.classOf(index);
      const noted = images.item(index).labels?.class;
      if (!(Number.isInteger(label) && label >= 0 && label < classes.length)) {
        faults.push(`${part} image ${index} has class ${label} of ${classes.length}`);
      } else if (noted !== undefined && noted !== label) {
        faults.push(`${part} image ${index} has class ${label}, but its labels say ${noted}`);
      }
      if (part === 'train') known.add(label);
      else if (!known.has(label)) faults.push(`test image ${index} has class ${label}, which training lacks`);
    }
  }
  if (train.fingerprint === test.fingerprint) faults.push('training and test images have the same fingerprint');
  const trained = new Set(namesOf(train));
  const shared = namesOf(test).find((name) => trained.has(name));
  if (shared !== undefined) faults.push(`${shared} is both a training and a test image`);
  return faults;
}

function sameFaults(first: ImageCollection, second: ImageCollection): string[] {
  const faults: string[] = [];
  if (first.fingerprint !== second.fingerprint) faults.push('the same data has another fingerprint the second time');
  if (namesOf(first).join('\n') !== namesOf(second).join('\n')) faults.push('the order of images is not fixed');
  return faults;
}

async function decodingFaults(images: ImageCollection, most: number): Promise<string[]> {
  const faults: string[] = [];
  for (let index = 0; index < Math.min(most, images.length); index++) {
    const item = images.item(index);
    await centreCrop(item, 8, PIXEL_LIMIT).catch((error: unknown) => {
      faults.push(`${item.name} cannot be decoded: ${reasonOf(error)}`);
    });
  }
  return faults;
}

/** What does not exist is refused with a message for people, not with a stack. */
async function refusalFaults(dataSet: DataSet): Promise<string[]> {
  const nowhere = '/there/is/no such place';
  const attempts: (() => Promise<unknown>)[] = [() => dataSet.open(nowhere)];
  if (dataSet.openLabelled) attempts.push(async () => dataSet.openLabelled?.(nowhere));
  for (const attempt of attempts) {
    const [outcome] = await Promise.allSettled([attempt()]);
    if (outcome.status === 'fulfilled') return ['is not refused'];
    if (!(outcome.reason instanceof PluginError)) return [`is no PluginError: ${reasonOf(outcome.reason)}`];
  }
  return [];
}

async function locatingFaults(dataSet: DataSet, argument: string | null, folder: string): Promise<string[]> {
  const found = await dataSet.locate?.(folder);
  if (typeof found !== 'string') return [`does not find it in ${folder}`];
  const [located, named] = [await dataSet.open(found), await dataSet.open(argument)];
  const faults = located.fingerprint === named.fingerprint ? [] : [`finds other data in ${folder}: ${found}`];
  const empty = await mkdtemp(join(tmpdir(), 'ijepa-empty-'));
  try {
    if ((await dataSet.locate?.(empty)) !== null) faults.push('finds it in an empty folder');
    if ((await dataSet.locate?.(join(empty, 'none'))) !== null) faults.push('finds it in a folder that does not exist');
  } finally {
    await rmdir(empty);
  }
  return faults;
}

function protocolFaults({ protocol, openLabelled }: DataSet): string[] {
  if (!protocol) return [];
  const faults = openLabelled ? [] : ['protocol: there is one, but no openLabelled'];
  const { schedule, epochs } = protocol;
  const steps = schedule.kind === 'steps' ? schedule.atEpochs : [];
  if (!steps.every((epoch, at) => epoch < epochs && (at === 0 || epoch > steps[at - 1])))
    faults.push(`protocol: steps at ${steps.join(', ')} of ${epochs} epochs`);
  return faults;
}

function namesOf(images: ImageCollection): string[] {
  return Array.from({ length: images.length }, (_, index) => images.item(index).name);
}
