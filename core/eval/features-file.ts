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

const EXTENSIONS = ['.safetensors', '.npy'];
const FORMAT = `${PROGRAM}-features-1`;

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

const namesSchema = z.string().transform(tryJson).pipe(listOf(z.string()));
const factsSchema = z.looseObject({
  format: z.literal(FORMAT),
  names: namesSchema,
  classes: namesSchema.optional(),
  layers: z.enum(['last', 'last-4']),
  transform: z.enum(['crop', 'squash']),
  views: z.string(),
  imageSize: z.coerce.number().pipe(z.int().min(1)),
  checkpoint: z.string(),
  encoder: z.string(),
  fingerprint: z.string(),
  source: z.string(),
  split: z.enum(['train', 'test']).optional(),
});

/** Features that were written, M rows of K. */
export type StoredFeatures = Awaited<ReturnType<typeof readFeatures>>;

/**
 * Reads a file of features.
 * @throws UserError if it is damaged, or not a .safetensors that `writeFeatures` wrote
 */
export async function readFeatures(path: string) {
  const { tensors, metadata } = await readSafetensors(path);
  const facts = factsSchema.safeParse(metadata);
  const features = tensors.get('features');
  const labels = tensors.get('labels')?.data;
  const [rows, width] = features?.shape ?? [];
  if (!facts.success || !(features?.data instanceof Float32Array) || facts.data.names.length !== rows) {
    throw new UserError(`${path} is not a file of features`, {
      expected: `a .safetensors that \`${PROGRAM} features\` wrote, with their names and where they come from`,
      remedy: `write one: ${PROGRAM} features RUN PICTURES --out ${path}`,
    });
  }
  return { rows, width, data: features.data, labels: labels instanceof Int32Array ? labels : null, facts: facts.data };
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
