import { IMAGE_EXTENSIONS, passedOver, setAside } from '../listing/kinds.js';
import { LeftOut, type LeftOutGroup } from '../listing/left-out.js';
import type { ByteSource } from './source.js';
import { readPieces, type TarFile, type TarLink, tarEntries } from './tar-files.js';
import { followLinks, type LinkTargets } from './tar-links.js';
import type { Piece } from './tar-sparse.js';

/** The images of a shard, column by column: a fraction of the memory of as many objects. */
export interface ShardSamples {
  readonly length: number;
  nameOf(index: number): string;
  /** Where each begins in the shard, ascending, and its bytes. */
  readonly offsets: Float64Array;
  readonly sizes: Float64Array;
  /** Of those whose content lies elsewhere: where, and how many bytes lie where they begin. */
  readonly apart: ReadonlyMap<number, Apart>;
  /** The class of each; -1 where none is known; -2, -3, ... for the first, second, ... of the texts. */
  readonly classes: Int32Array;
  /** Classes that are told as text and not as a number. */
  readonly texts: readonly string[];
  readonly leftOut: readonly LeftOutGroup[];
}

/** Content that does not lie in one piece where it begins: that of links and of files with holes. */
export interface Apart {
  pieces: readonly Piece[];
  stored: number;
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
/** Longer texts are no class. */
const LONGEST_CLASS_TEXT = 256;

export function shardSamples(
  { names, offsets, sizes, classes }: ShardColumns,
  more: Pick<ShardSamples, 'apart' | 'texts' | 'leftOut'> = { apart: new Map(), texts: [], leftOut: [] },
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
    ...more,
  };
}

/**
 * The samples of a shard by its headers: consecutive files of one key, which is a file's path up to the first dot of its
 * name. A sample's image is its first file whose extension is that of an image ('jpg', not 'mask.png'), or else its first
 * whose name ends like one; its class is the whole number, or else the text, in its file '.cls'. Links count as the files to
 * which they lead. Names that start with a dot are passed over.
 * @param tell is told how far in the shard it is, in bytes
 * @throws UserError if the shard is damaged or cannot be read
 */
export async function readSamples(source: ByteSource, tell?: (bytes: number) => void): Promise<ShardSamples> {
  const links: TarLink[] = [];
  const samples = await collect(
    source,
    (link) => {
      links.push(link);
      return undefined;
    },
    tell,
  );
  if (links.length === 0) return samples;
  const targets: LinkTargets = await followLinks(source, links);
  return collect(source, ({ name }) => targets.get(name), tell);
}

/** @param follow gives the file to which a link leads, if it leads to one */
async function collect(
  source: ByteSource,
  follow: (link: TarLink) => TarFile | undefined,
  tell?: (bytes: number) => void,
): Promise<ShardSamples> {
  const columns = { names: [] as string[], offsets: [] as number[], sizes: [] as number[], classes: [] as number[] };
  const apart = new Map<number, Apart>();
  const texts = new Map<string, number>();
  const leftOut = new LeftOut();
  let sample: OpenSample | undefined;
  const close = () => {
    const image = sample?.images.find(({ exact }) => exact) ?? sample?.images[0];
    if (!sample || !image) return;
    const { file } = image;
    if (file.pieces) apart.set(columns.names.length, { pieces: file.pieces, stored: file.stored });
    columns.names.push(image.name);
    columns.offsets.push(file.offset);
    columns.sizes.push(file.size);
    columns.classes.push(sample.label);
    const others = sample.images.filter((candidate) => candidate !== image);
    if (others[0]) leftOut.add('image', 'another image of the same sample is taken', others[0].name, others.length);
  };
  for await (const entry of tarEntries(source)) {
    tell?.(entry.offset);
    const name = entry.name.replace(/^(?:\.\/)+/, '');
    const [key, extension] = splitKey(name);
    const isWanted = isImage(lastOf(extension));
    const aside = asideReason(name);
    if (aside !== undefined) {
      if (isWanted) leftOut.add('image', aside, name);
      continue;
    }
    if (key !== sample?.key) {
      close();
      sample = { key, images: [], label: NO_CLASS };
    }
    const file =
      entry.kind === 'file' ? entry : entry.kind === 'link' ? linked(entry, follow(entry), source) : undefined;
    if (!file) {
      if (entry.kind === 'other') leftOut.add('entry', entry.reason, name);
      else leftOut.add('link', 'no such file in the shard', name);
    } else if (extension === 'cls') {
      sample.label = await readClass(file, texts, () =>
        leftOut.add('class', `longer than ${LONGEST_CLASS_TEXT} bytes`, name),
      );
    } else if (isWanted) {
      sample.images.push({ name, file, exact: isImage(extension) });
    } else {
      const why = passedOver(name);
      if (why) leftOut.add(why.noun, why.reason, name);
    }
  }
  close();
  return shardSamples(columns, { apart, texts: [...texts.keys()], leftOut: leftOut.groups });
}

interface OpenSample {
  key: string;
  images: { name: string; file: TarFile; exact: boolean }[];
  label: number;
}

/** A link as a file whose content is that of another one. */
function linked({ name, offset }: TarLink, target: TarFile | undefined, source: ByteSource): TarFile | undefined {
  if (!target) return undefined;
  const { size } = target;
  const pieces = target.pieces ?? [{ at: 0, offset: target.offset, bytes: size }];
  return { kind: 'file', name, offset, stored: 0, size, pieces, content: () => readPieces(source, size, pieces) };
}

/** Why what is in some folder, or of some name, is not taken; undefined where it is. */
function asideReason(name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '..' && part !== '.');
  const base = parts.pop() ?? '';
  if (base.startsWith('.')) return setAside(base);
  const reason = parts.map(setAside).find((found) => found !== undefined);
  return reason && `in a folder that is left out (${reason})`;
}

/** 'a/b.seg.PNG' -> ['a/b', 'seg.png']; where the file's name starts with a dot, the key is that of its folder. */
export function splitKey(name: string): [key: string, extension: string] {
  const base = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', base);
  return dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1).toLowerCase()];
}

function lastOf(extension: string): string {
  return extension.slice(extension.lastIndexOf('.') + 1);
}

function isImage(extension: string): boolean {
  return IMAGE_EXTENSIONS.includes(`.${extension}`);
}

/** @param tooLong is told where the file holds more than a class */
async function readClass({ size, content }: TarFile, texts: Map<string, number>, tooLong: () => void): Promise<number> {
  if (size > LONGEST_CLASS_TEXT) {
    tooLong();
    return NO_CLASS;
  }
  const text = (await content()).toString().trim();
  if (text === '') return NO_CLASS;
  if (/^\d+$/.test(text) && Number(text) <= LARGEST_CLASS) return Number(text);
  const place = texts.get(text) ?? texts.size;
  texts.set(text, place);
  return NO_CLASS - 1 - place;
}

/** The text of a class that is told as text; undefined for others. */
export function classText({ texts }: ShardSamples, label: number): string | undefined {
  return label < NO_CLASS ? texts[NO_CLASS - 1 - label] : undefined;
}
