import { statSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { writeFileAtomically } from '../base/atomic.js';
import { UserError } from '../base/errors.js';
import { shownName } from '../base/file-names.js';
import { type StoredTensor, writeSafetensors } from '../checkpoint/safetensors.js';
import type { FeatureKind } from '../plugin.js';
import { type FeatureTable, featureColumns } from './features.js';
import { writeNpy } from './npy.js';

/** Where features are written, and how. */
export interface FeaturesFile {
  /** Its name decides the format: .safetensors or .npy. */
  path: string;
  kind: FeatureKind;
  /** The names of the classes; null where there are no labels. */
  classes: readonly string[] | null;
  /** What else a reader may want to know, as text by name. */
  facts: Readonly<Record<string, string>>;
}

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
  for (const file of [path, ...Object.values(companions(path) ?? {})]) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory()) throw new UserError(`${file} is a folder`, { expected: 'the name of a file' });
    if (!found || force) continue;
    throw new UserError(`${file} exists`, {
      expected: 'a new file',
      remedy: 'use --force to replace it, or another --out',
    });
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
 * @returns the files that were written
 */
export async function writeFeatures(table: FeatureTable, file: FeaturesFile): Promise<string[]> {
  const features = featureColumns(table, file.kind);
  const shape = [table.rows, features.length / Math.max(1, table.rows)];
  const beside = companions(file.path);
  if (!beside) {
    const tensors = new Map<string, StoredTensor>([['features', { shape, data: features }]]);
    if (file.classes) tensors.set('labels', { shape: [table.rows], data: table.labels });
    await writeSafetensors(file.path, tensors, {
      format: 'ijepa-features-1',
      ...file.facts,
      names: JSON.stringify(table.names),
      ...(file.classes && { classes: JSON.stringify(file.classes) }),
    });
    return [file.path];
  }
  await writeNpy(file.path, shape, features);
  if (file.classes) await writeNpy(beside.labels, [table.rows], table.labels);
  await writeFileAtomically(
    beside.names,
    table.names.map((name) => `${/[\n\r]/.test(name) ? shownName(name) : name}\n`).join(''),
  );
  return [file.path, ...(file.classes ? [beside.labels] : []), beside.names];
}

/** The files of labels and names beside a NumPy file of features; null for other formats, which hold them. */
function companions(path: string): { labels: string; names: string } | null {
  if (extname(path) !== '.npy') return null;
  const stem = path.slice(0, -'.npy'.length);
  return { labels: `${stem}.labels.npy`, names: `${stem}.names.txt` };
}
