import { posix } from 'node:path';
import { NameColumn } from '../listing/columns.js';
import { IMAGE_EXTENSIONS, LeftOut, type LeftOutGroup, passedOver, setAside } from '../listing/kinds.js';
import type { ByteSource } from './source.js';
import type { Piece } from './tar-header.js';
import { readPieces, type TarEntry, type TarFile, type TarLink, tarEntries } from './tar-read.js';

/** The images of a shard, column by column: a fraction of the memory of as many objects. */
export interface ShardSamples {
  readonly length: number;
  readonly names: NameColumn;
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
type Apart = { pieces: readonly Piece[]; stored: number };

export const NO_CLASS = -1;
const MAX_CLASS = 2 ** 31 - 1;
/** Longer texts are no class. */
const MAX_CLASS_BYTES = 256;
/** Links that lead to links: more of them in a row lead nowhere. */
const MAX_LINKS = 16;

export function shardSamples(
  columns: Record<'offsets' | 'sizes' | 'classes', ArrayLike<number>> & { names: readonly string[] },
  more: Pick<ShardSamples, 'apart' | 'texts' | 'leftOut'> = { apart: new Map(), texts: [], leftOut: [] },
): ShardSamples {
  return {
    length: columns.names.length,
    names: new NameColumn(columns.names),
    offsets: Float64Array.from(columns.offsets),
    sizes: Float64Array.from(columns.sizes),
    classes: Int32Array.from(columns.classes),
    ...more,
  };
}

/**
 * The samples of a shard by its headers: consecutive files of one key, which is a file's path up to the first dot of its
 * name. A sample's image is its first file whose extension is that of an image ('jpg', not 'mask.png'), or else its first
 * whose name ends like one; its class is the whole number, or else the text, in its file '.cls'. Links count as the files to
 * which they lead. Names that start with a dot are passed over.
 * @throws UserError if the shard is damaged or cannot be read
 */
export async function readSamples(source: ByteSource, tell?: (bytes: number) => void): Promise<ShardSamples> {
  const isClassFile = (name: string, size: number) => size <= MAX_CLASS_BYTES && splitKey(name)[1] === 'cls';
  const entries = await tarEntries(source, isClassFile, tell);
  const targets = linkTargets(entries);
  const columns = { names: [] as string[], offsets: [] as number[], sizes: [] as number[], classes: [] as number[] };
  const apart = new Map<number, Apart>();
  const texts = new Map<string, number>();
  const leftOut = new LeftOut();
  let sample: { key: string; images: { name: string; file: TarFile; isExact: boolean }[]; label: number } | undefined;
  const close = () => {
    const image = sample?.images.find(({ isExact }) => isExact) ?? sample?.images[0];
    if (!sample || !image) return;
    const { offset, stored, size, pieces } = image.file;
    if (pieces) apart.set(columns.names.length, { pieces, stored });
    columns.names.push(image.name);
    columns.offsets.push(offset);
    columns.sizes.push(size);
    columns.classes.push(sample.label);
    const others = sample.images.filter((candidate) => candidate !== image);
    if (others[0]) leftOut.add('image', 'another image of the same sample is taken', others[0].name, others.length);
  };
  for (const entry of entries) {
    const name = entry.name.replace(/^(?:\.\/)+/, '');
    const [key, extension] = splitKey(name);
    const isWanted = isImage(extension.slice(extension.lastIndexOf('.') + 1));
    const aside = asideReason(name);
    if (aside !== undefined) {
      if (isWanted) leftOut.add('image', aside, name);
      continue;
    }
    if (key !== sample?.key) {
      close();
      sample = { key, images: [], label: NO_CLASS };
    }
    const file = entry.kind === 'link' ? targets.get(entry) : entry;
    if (!file) leftOut.add('link', 'no such file in the shard', name);
    else if (file.kind === 'other') leftOut.add('entry', file.reason, name);
    else if (extension === 'cls' && file.size > MAX_CLASS_BYTES) {
      leftOut.add('class', `longer than ${MAX_CLASS_BYTES} bytes`, name);
    } else if (extension === 'cls') {
      sample.label = classOf(file.text ?? (await readPieces(source, file.size, piecesOf(file))).toString(), texts);
    } else if (isWanted) {
      sample.images.push({ name, file, isExact: isImage(extension) });
    } else {
      const why = passedOver(name);
      if (why) leftOut.add(why.noun, why.reason, name);
    }
  }
  close();
  return shardSamples(columns, { apart, texts: [...texts.keys()], leftOut: leftOut.groups });
}

/** The links that lead to a file, as files that lie where the link does and have the other one's content. */
function linkTargets(entries: readonly TarEntry[]): ReadonlyMap<TarLink, TarFile> {
  const links = entries.filter((entry) => entry.kind === 'link');
  const byName = new Map((links.length > 0 ? entries : []).map((entry) => [cleanName(entry.name), entry]));
  const targets = new Map<TarLink, TarFile>();
  for (const link of links) {
    let found: TarEntry | undefined = link;
    for (let steps = 0; found?.kind === 'link' && steps < MAX_LINKS; steps++) found = byName.get(targetOf(found));
    if (found?.kind === 'file') {
      targets.set(link, { ...found, name: link.name, offset: link.offset, stored: 0, pieces: piecesOf(found) });
    }
  }
  return targets;
}

function piecesOf({ pieces, offset, size }: TarFile): readonly Piece[] {
  return pieces ?? [{ at: 0, offset, bytes: size }];
}

/** A symbolic link leads on from where it lies, a hard link from the root. */
function targetOf({ name, target, isSymbolic }: TarLink): string {
  return cleanName(isSymbolic ? posix.join(posix.dirname(name), target) : target);
}

/** The same for all ways to write a name. */
function cleanName(name: string): string {
  return posix.normalize(name).replace(/^\/+/, '');
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

function isImage(extension: string): boolean {
  return IMAGE_EXTENSIONS.includes(`.${extension}`);
}

/** The class that a text tells. @param texts the texts that are no numbers, in the order in which they came */
function classOf(content: string, texts: Map<string, number>): number {
  const text = content.trim();
  if (text === '') return NO_CLASS;
  if (/^\d+$/.test(text) && Number(text) <= MAX_CLASS) return Number(text);
  const number = texts.get(text) ?? texts.size;
  texts.set(text, number);
  return NO_CLASS - 1 - number;
}

/** The text of a class that is told as text; undefined for others. */
export function classText({ texts }: ShardSamples, label: number): string | undefined {
  return label < NO_CLASS ? texts[NO_CLASS - 1 - label] : undefined;
}
