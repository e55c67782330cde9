import { statSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { UserError } from '../base/errors.js';
import { shownName } from '../base/file-names.js';
import { listOf } from '../base/list-of.js';
import { PROGRAM } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../checkpoint/safetensors.js';
import type { FeatureKind } from '../contract/data-sets.js';
import type { FeatureTable } from './features.js';
import { writeNpy } from './npy.js';
import { featureColumns } from './samples.js';

const FORMAT = `${PROGRAM}-features-1`;
/** The tensor of patch tokens. */
export const TOKENS = 'tokens';
/** How the names of files of features end. */
export const FEATURES_ENDINGS: readonly string[] = ['.safetensors', '.npy'];

/**
 * Says before any work is done whether features can be written to a file.
 * @param tokens whether patch tokens are to be written as well
 * @throws UserError if not
 */
export function checkFeaturesFile(path: string, force: boolean, tokens: boolean): void {
  if (!FEATURES_ENDINGS.includes(extname(path))) {
    throw new UserError(`--out ${path} has no ending that tells a format`, {
      expected: `a name that ends in ${FEATURES_ENDINGS.join(' or ')}`,
      remedy: `use --out ${path}.safetensors`,
    });
  }
  const isNumpy = extname(path) === '.npy';
  for (const file of [path, ...companions(path), ...(tokens && isNumpy ? [tokensPath(path)] : [])]) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory()) throw new UserError(`${file} is a folder`, { expected: 'the name of a file' });
    if (!found || force) continue;
    const remedy = 'use --force to replace it, or another --out';
    throw new UserError(`${file} exists`, { expected: 'a new file', remedy });
  }
  if (statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory()) return;
  throw new UserError(`${path} cannot be written: there is no folder ${dirname(path)}`, {
    remedy: 'make it, or choose another --out',
  });
}

/** Where features go. */
export interface FeaturesFile {
  /** Its ending decides the format. */
  path: string;
  kind: FeatureKind;
  /** The names of the classes; null where there are no labels. */
  classes: readonly string[] | null;
  /** What else a reader may want to know, as text by name. */
  facts: Readonly<Record<string, string>>;
}

/**
 * Writes features with labels and names. Safetensors: the tensors `features`, [M, D] or [M, L D], and `labels`, [M], with
 * names, classes and facts in the metadata. NumPy: features in FILE.npy, labels in FILE.labels.npy, names, a line each,
 * in FILE.names.txt.
 * @returns the files that were written
 */
export async function writeFeatures(table: FeatureTable, file: FeaturesFile): Promise<string[]> {
  const { path, kind, classes } = file;
  const data = featureColumns(table, kind);
  const features = { shape: [table.rows, data.length / Math.max(1, table.rows)], data };
  const labels = { shape: [table.rows], data: table.labels };
  const [labelsPath, namesPath] = companions(path);
  if (!labelsPath || !namesPath) {
    const tensors = new Map<string, StoredTensor>([['features', features]]);
    if (classes) tensors.set('labels', labels);
    await writeSafetensors(path, tensors, metadataOf(file, table.names));
    return [path];
  }
  await writeNpy(path, features);
  if (classes) await writeNpy(labelsPath, labels);
  const lines = table.names.map((name) => `${/[\n\r]/.test(name) ? shownName(name) : name}\n`);
  await writeFileAtomically(namesPath, lines.join(''));
  return [path, ...(classes ? [labelsPath] : []), namesPath];
}

/** What a safetensors file says beside its tensors. */
export function metadataOf({ facts, classes }: FeaturesFile, names: readonly string[]): Record<string, string> {
  const named = { format: FORMAT, ...facts, names: JSON.stringify(names) };
  return classes ? { ...named, classes: JSON.stringify(classes) } : named;
}

/** The file of patch tokens beside a NumPy file of features. */
export function tokensPath(path: string): string {
  return `${path.slice(0, -'.npy'.length)}.tokens.npy`;
}

/** What a file of features holds. */
export interface StoredFeatures {
  /** [M, K] */
  readonly data: Float32Array;
  /** K */
  readonly width: number;
  /** The names of the images, M. */
  readonly names: readonly string[];
  /** The class of each image, M; null where there are no labels. */
  readonly classes: readonly string[] | null;
  /** What else it says, as text by name. */
  readonly facts: Readonly<Record<string, string>>;
}

/**
 * Reads what `writeFeatures` wrote as safetensors.
 * @throws UserError if the file is missing, damaged, something else, or holds no image
 */
export async function readFeatures(path: string): Promise<StoredFeatures> {
  const advice = {
    expected: 'a .safetensors file with a row for each image',
    remedy: `write one with: ${PROGRAM} features CHECKPOINT DATA --out FILE.safetensors`,
  };
  if (extname(path) === '.npy') throw new UserError(`${path} does not say which encoder computed it`, advice);
  const { tensors, metadata } = await readSafetensors(path, (name) => name !== TOKENS); // these may be larger than memory
  const features = tensors.get('features');
  if (metadata.format !== FORMAT || !(features?.data instanceof Float32Array)) {
    throw new UserError(`${path} is no file of features`, advice);
  }
  const [rows = 0, width = 0] = features.shape;
  if (rows === 0) throw new UserError(`${path} holds no image`, advice);
  const names = namesIn(metadata.names);
  const classNames = namesIn(metadata.classes);
  const labels = tensors.get('labels')?.data;
  if (names?.length !== rows || (labels && (labels.length !== rows || classNames === null))) {
    throw new UserError(`${path} does not name the image, or the class, of each of its ${rows} rows`, advice);
  }
  const isLabelled = labels instanceof Int32Array && classNames !== null;
  const classes = isLabelled ? Array.from(labels, (label) => classNames[label] ?? '') : null;
  return { data: features.data, width, names, classes, facts: metadata };
}

const nameList = listOf(z.string());

function namesIn(json = 'null'): string[] | null {
  return nameList.safeParse(tryJson(json)).data ?? null;
}

/** The files of labels and of names beside a NumPy file of features; none for other formats, which hold them. */
function companions(path: string): string[] {
  const stem = path.slice(0, -'.npy'.length);
  return extname(path) === '.npy' ? [`${stem}.labels.npy`, `${stem}.names.txt`] : [];
}
