import { IMAGE_EXTENSIONS } from '../listing/scan.js';
import type { ByteSource } from './source.js';
import { type TarFile, tarFiles } from './tar-files.js';

/** The images of a shard, column by column: a fraction of the memory of as many objects. */
export interface ShardSamples {
  readonly length: number;
  nameOf(index: number): string;
  /** Where each begins in the shard, ascending, and its bytes. */
  readonly offsets: Float64Array;
  readonly sizes: Float64Array;
  /** The class of each; -1 where none is known. */
  readonly classes: Int32Array;
  /** Image files of samples that have another image already: how many, and the first one. */
  readonly passedOver: { count: number; example: string | null };
}

export interface ShardColumns {
  names: readonly string[];
  offsets: ArrayLike<number>;
  sizes: ArrayLike<number>;
  classes: ArrayLike<number>;
}

/** No class is known. */
export const NO_CLASS = -1;
const LARGEST_CLASS = 2 ** 31 - 1;
/** Longer texts are no class number. */
const LONGEST_CLASS_TEXT = 64;

export function shardSamples(
  { names, offsets, sizes, classes }: ShardColumns,
  passedOver: ShardSamples['passedOver'] = { count: 0, example: null },
): ShardSamples {
  const length = names.length;
  const ends = new Uint32Array(length);
  let end = 0;
  names.forEach((name, index) => {
    end += name.length;
    ends[index] = end;
  });
  const text = names.join('');
  return {
    length,
    nameOf: (index) => text.slice(index === 0 ? 0 : ends[index - 1], ends[index]),
    offsets: Float64Array.from(offsets),
    sizes: Float64Array.from(sizes),
    classes: Int32Array.from(classes),
    passedOver,
  };
}

/**
 * The samples of a shard by its headers: consecutive files of one key, which is a file's path up to the first dot of its
 * name. A sample's image is its first file whose extension is that of an image ('jpg', not 'mask.png'), or else its first
 * whose name ends like one; its class is the whole number in its file '.cls'. Names that start with a dot are passed over.
 * @param tell is told how far in the shard it is, in bytes
 * @throws UserError if the shard is damaged or cannot be read
 */
export async function readSamples(source: ByteSource, tell?: (bytes: number) => void): Promise<ShardSamples> {
  const columns = { names: [] as string[], offsets: [] as number[], sizes: [] as number[], classes: [] as number[] };
  const passedOver = { count: 0, example: null as string | null };
  let sample: OpenSample | undefined;
  const close = () => {
    if (!sample) return;
    const image = sample.images.find(({ exact }) => exact) ?? sample.images[0];
    if (!image) return;
    columns.names.push(image.name);
    columns.offsets.push(image.offset);
    columns.sizes.push(image.size);
    columns.classes.push(sample.label);
    const other = sample.images.find((candidate) => candidate !== image);
    passedOver.count += sample.images.length - 1;
    passedOver.example ??= other?.name ?? null;
  };
  for await (const file of tarFiles(source)) {
    tell?.(file.offset + file.size);
    const name = file.name.replace(/^(?:\.\/)+/, '');
    const [key, extension] = splitKey(name);
    if (key === null) continue;
    if (key !== sample?.key) {
      close();
      sample = { key, images: [], label: NO_CLASS };
    }
    if (extension === 'cls') sample.label = await readClass(file);
    else if (isImage(lastOf(extension))) {
      sample.images.push({ name, offset: file.offset, size: file.size, exact: isImage(extension) });
    }
  }
  close();
  return shardSamples(columns, passedOver);
}

interface OpenSample {
  key: string;
  images: { name: string; offset: number; size: number; exact: boolean }[];
  label: number;
}

/** 'a/b.seg.PNG' -> ['a/b', 'seg.png']; no key where the file's name starts with a dot. */
export function splitKey(name: string): [key: string | null, extension: string] {
  const base = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', base);
  if (dot === base) return [null, ''];
  return dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1).toLowerCase()];
}

function lastOf(extension: string): string {
  return extension.slice(extension.lastIndexOf('.') + 1);
}

function isImage(extension: string): boolean {
  return IMAGE_EXTENSIONS.includes(`.${extension}`);
}

async function readClass(file: TarFile): Promise<number> {
  if (file.size > LONGEST_CLASS_TEXT) return NO_CLASS;
  const text = (await file.content()).toString().trim();
  const label = /^\d+$/.test(text) ? Number(text) : NO_CLASS;
  return label <= LARGEST_CLASS ? label : NO_CLASS;
}
