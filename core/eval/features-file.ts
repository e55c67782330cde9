import { statSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { z } from 'zod';
import { writeAtomically, writeFileAtomically } from '../base/atomic.js';
import { UserError } from '../base/errors.js';
import { shownName } from '../base/file-names.js';
import { listOf } from '../base/list-of.js';
import { PROGRAM } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../checkpoint/safetensors.js';
import type { FeatureKind } from '../contract/data-sets.js';
import type { FeatureTable } from './features.js';
import { featureColumns } from './samples.js';

const FORMAT = `${PROGRAM}-features-1`;
const EXTENSIONS = ['.safetensors', '.npy'];

/**
 * Says before any work is done whether features can be written to a file.
 * @throws UserError if not
 */
export function checkFeaturesFile(path: string, force: boolean): void {
  if (!EXTENSIONS.includes(extname(path))) {
    throw new UserError(`--out ${path} has no ending that tells a format`, {
      expected: `a name that ends in ${EXTENSIONS.join(' or ')}`,
      remedy: `use --out ${path}.safetensors`,
    });
  }
  for (const file of [path, ...companions(path)]) {
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

/**
 * Writes features with labels and names. Safetensors: the tensors `features`, [M, D] or [M, L D], and `labels`, [M], with
 * names, classes and facts in the metadata. NumPy: features in FILE.npy, labels in FILE.labels.npy, names, a line each,
 * in FILE.names.txt.
 * @param path its ending decides the format
 * @param classes the names of the classes; null where there are no labels
 * @param facts what else a reader may want to know, as text by name
 * @returns the files that were written
 */
export async function writeFeatures(
  table: FeatureTable,
  file: { path: string; kind: FeatureKind; classes: readonly string[] | null; facts: Readonly<Record<string, string>> },
): Promise<string[]> {
  const { path, kind, classes, facts } = file;
  const data = featureColumns(table, kind);
  const features = { shape: [table.rows, data.length / Math.max(1, table.rows)], data };
  const labels = { shape: [table.rows], data: table.labels };
  const [labelsPath, namesPath] = companions(path);
  if (!labelsPath || !namesPath) {
    const tensors = new Map<string, StoredTensor>([['features', features]]);
    if (classes) tensors.set('labels', labels);
    await writeSafetensors(path, tensors, {
      format: FORMAT,
      ...facts,
      names: JSON.stringify(table.names),
      ...(classes && { classes: JSON.stringify(classes) }),
    });
    return [path];
  }
  await writeNpy(path, features);
  if (classes) await writeNpy(labelsPath, labels);
  const lines = table.names.map((name) => `${/[\n\r]/.test(name) ? shownName(name) : name}\n`);
  await writeFileAtomically(namesPath, lines.join(''));
  return [path, ...(classes ? [labelsPath] : []), namesPath];
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
  const { tensors, metadata } = await readSafetensors(path);
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

/** NumPy's header and data start at multiples of this. */
const ALIGNMENT = 64;

/**
 * Writes an array as a .npy file of version 1.0, whole or not at all: a magic string, the version, the header's length
 * and the header, a Python dictionary filled up with spaces, then the values row by row, little-endian.
 */
async function writeNpy(path: string, array: { shape: readonly number[]; data: Float32Array | Int32Array }) {
  const { shape, data } = array;
  const type = data instanceof Float32Array ? '<f4' : '<i4';
  const dictionary = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const before = 10;
  const length = Math.ceil((before + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT - before;
  const header = Buffer.from(`\x93NUMPY\x01\x00..${dictionary.padEnd(length - 1)}\n`, 'latin1');
  header.writeUInt16LE(length, 8);
  await writeAtomically(path, async (file) => {
    await file.appendFile(header);
    await file.appendFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}
