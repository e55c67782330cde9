import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { bestCheckpoint, isCheckpoint, latestCheckpoint, previousCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { parseProbeMemory } from '../../core/run/probing.js';
import type { RunFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';

/** Columns of logs that tell how long something took. */
const TIMES = ['imagesPerSecond', 'seconds', 'waitSeconds', 'exchangeSeconds', 'probeSeconds'];
/** Columns that depend on when a run is probed. */
const PROBES = ['probe', 'probe.logistic', 'probe.neighbours'];

/**
 * How a run that is done differs from the undisturbed one. The checkpoint before the newest is left out: whether one is
 * written at a step between two epochs depends on whether the one before it was done by then.
 */
export async function differences(run: RunFolder, whole: RunFolder): Promise<string[]> {
  const { checkpoints } = whole;
  const names = (folder: string) => readdirSync(folder).filter(isCheckpoint).sort();
  const previous = previousCheckpoint('');
  return differing(run, whole, {
    'list of checkpoints': async ({ checkpoints }) => names(checkpoints).join(),
    ...Object.fromEntries(
      names(checkpoints)
        .filter((name) => name !== previous)
        .map((name) => [name, (folder: RunFolder) => contentOf(`${folder.checkpoints}/${name}`)]),
    ),
    'log.jsonl': async ({ log }) => withoutFields(await readFile(log, 'utf8'), TIMES),
    'log.csv': async ({ table }) => withoutColumns(await readFile(table, 'utf8'), TIMES),
    'state.json': ({ state }) => contentOf(state),
  });
}

/**
 * The same for a run that is probed when the clock says so: its weights and logs may differ in nothing but the steps after
 * which it was probed, steps that were probed in both have to tell the same, and the best checkpoint has to be that of the
 * best step in its own log.
 */
export async function differencesByClock(run: RunFolder, whole: RunFolder): Promise<string[]> {
  const faults = await differing(run, whole, {
    'log.jsonl': async ({ log }) => withoutFields(await readFile(log, 'utf8'), [...TIMES, ...PROBES]),
    'log.csv': async ({ table }) => withoutColumns(await readFile(table, 'utf8'), [...TIMES, ...PROBES]),
  });
  const latest = [run, whole].map(({ checkpoints }) => readSafetensors(latestCheckpoint(checkpoints)));
  const [own, other] = await Promise.all(latest);
  if (!isDeepStrictEqual(own?.tensors, other?.tensors)) faults.push(`the weights of ${run.path} are not the same`);
  const elsewhere = new Map(readRunLog(whole).map(({ step, probe }) => [step, probe ?? null]));
  const told = readRunLog(run).flatMap(({ step, probe }) => (probe ? [{ ...probe, step }] : []));
  for (const { step, ...probe } of told) {
    const there = elsewhere.get(step);
    if (there && !isDeepStrictEqual(there, probe))
      faults.push(`the probe after step ${step} of ${run.path} tells another`);
  }
  const highest = Math.max(...told.map(({ logistic }) => logistic));
  const best = told.find(({ logistic }) => logistic === highest);
  const { metadata } = await readSafetensors(bestCheckpoint(run.checkpoints));
  const memory = parseProbeMemory(JSON.parse(metadata.memory ?? ''));
  if (!best || Number(metadata.step) !== best.step || !isDeepStrictEqual(memory?.best, best)) {
    faults.push(`the best checkpoint of ${run.path} is of step ${metadata.step}, its log says ${best?.step}`);
  }
  return faults;
}

type Parts = Readonly<Record<string, (run: RunFolder) => Promise<string>>>;

async function differing(run: RunFolder, whole: RunFolder, parts: Parts): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, read] of Object.entries(parts)) {
    if ((await read(run)) !== (await read(whole))) faults.push(`${name} of ${run.path} is not the same`);
  }
  return faults;
}

/** The bytes of a file as text; 'missing' where it is. */
async function contentOf(path: string): Promise<string> {
  return existsSync(path) ? (await readFile(path)).toString('hex') : 'missing';
}

function withoutFields(lines: string, names: readonly string[]): string {
  const left = ([name]: [string, unknown]) => !names.includes(name);
  const shown = (line: string) => JSON.stringify(Object.entries(JSON.parse(line)).filter(left));
  return lines.trimEnd().split('\n').map(shown).join('\n');
}

function withoutColumns(lines: string, names: readonly string[]): string {
  const rows = lines.split('\n').map((line) => line.split(','));
  const left = (rows[0] ?? []).map((name) => !names.includes(name));
  return rows.map((row) => row.filter((_, column) => left[column]).join()).join('\n');
}
