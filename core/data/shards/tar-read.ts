import { contentKind } from '../../base/content-kind.js';
import { UserError } from '../../base/errors.js';
import { shownName } from '../../base/file-names.js';
import { TAR_FILES } from '../../fetch/extract.js';
import { type ByteSource, windowReader } from './source.js';
import { BLOCK, noteOf, oldSparseMap, type PaxRecords, type Piece, paxSparseMap, readHeader } from './tar-header.js';

export interface TarFile {
  kind: 'file';
  name: string;
  /** Where its own data begin, in bytes from the start of the archive, and how many there are. */
  offset: number;
  stored: number;
  /** Bytes of its content. */
  size: number;
  /** Where its content lies, if its own data are something else: of a file with holes. */
  pieces: readonly Piece[] | null;
  /** Its content, of small files that were asked for. */
  text?: string;
}

export interface TarLink {
  kind: 'link';
  name: string;
  offset: number;
  /** The name of what it leads to, from where it lies where it is a symbolic one, or else from the root. */
  target: string;
  isSymbolic: boolean;
}

/** Also what has a name, but not the content of a file, and why. */
export type TarEntry = TarFile | TarLink | { kind: 'other'; name: string; reason: string };

/** Most bytes of what is said of an entry before it, such as its long name. */
const MAX_NOTE_BYTES = 1 << 20;

/** Entries that are no files of anybody. */
const NOTHING = ['Directory', 'GNUDumpDir', 'TapeVolumeHeader', 'SolarisACL', 'Inode'];

/**
 * What lies in a tar archive (ustar, GNU, pax), by its headers alone: contents are passed over. Folders are left out.
 * @param wantsText which files are read, of those whose content lies in one piece
 * @param tell is told how far in the archive it is, in bytes
 * @throws UserError that names the byte where the archive is damaged or ends too soon
 */
export async function tarEntries(
  source: ByteSource,
  wantsText: (name: string, size: number) => boolean,
  tell?: (bytes: number) => void,
): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  const read = windowReader(source);
  let next: PaxRecords = [];
  for (let at = 0; ; ) {
    if (at + BLOCK > source.size) throw await endsTooSoon(source, at);
    const block = await read(at, BLOCK);
    const header = readHeader(block, next);
    if (header === 'end') return entries;
    if (!header)
      throw at > 0 ? damaged(source, at, 'what should be a header is none (wrong checksum)') : notTar(source, block);
    const { type, isNote, name, size, linkName } = header;
    if (!Number.isSafeInteger(size)) throw damaged(source, at, `an entry of ${size} bytes`);
    const before = type === 'SparseFile' ? await oldSparseMap(block, at + BLOCK, size, read) : null;
    const offset = at + BLOCK + (before?.mapBytes ?? 0);
    if (offset + size > source.size) {
      const there = `${source.size - offset} are there: it was cut off`;
      throw damaged(source, at, `${shownName(name)} has ${size} bytes, of which ${there}`);
    }
    if (isNote) {
      if (size > MAX_NOTE_BYTES) throw damaged(source, at, `a header of ${size} bytes`);
      next.push(...noteOf(type, await read(offset, size)));
    } else if (TAR_FILES.includes(type) || type === 'SparseFile') {
      const map = type === 'SparseFile' ? (before?.map ?? null) : await paxSparseMap(next, offset, size, read);
      if (map === null) entries.push({ kind: 'other', name, reason: 'a map of holes that makes no sense' });
      else if (map) entries.push({ kind: 'file', name, offset, stored: size, ...map });
      else {
        const text = wantsText(name, size) && { text: (await read(offset, size)).toString() };
        entries.push({ kind: 'file', name, offset, stored: size, size, pieces: null, ...text });
      }
    } else if (type === 'Link' || type === 'SymbolicLink') {
      entries.push({ kind: 'link', name, offset, target: linkName, isSymbolic: type === 'SymbolicLink' });
    } else if (!NOTHING.includes(type)) {
      entries.push({ kind: 'other', name, reason: 'pipes, devices and parts of files are not read' });
    }
    if (!isNote) next = [];
    tell?.(offset);
    at = offset + BLOCK * Math.ceil(size / BLOCK);
  }
}

/** The content of a file that lies in pieces. */
export async function readPieces(source: ByteSource, size: number, pieces: readonly Piece[]): Promise<Buffer> {
  const content = Buffer.alloc(size);
  for (const { at, offset, bytes } of pieces) content.set(await source.read(offset, bytes), at);
  return content;
}

async function endsTooSoon(source: ByteSource, at: number): Promise<UserError> {
  if (source.size === 0) return damaged(source, 0, 'it is empty');
  if (source.size < BLOCK) return notTar(source, await source.read(0, source.size));
  return damaged(source, Math.min(at, source.size), 'it ends there without the end mark of an archive: it was cut off');
}

/** @param start how it begins */
function notTar({ name }: ByteSource, start: Buffer): UserError {
  const kind = contentKind(start);
  const how = kind === null ? 'byte 0 begins no header' : `its content is ${kind}`;
  return new UserError(`${name} is no tar archive: ${how}`, {
    expected: 'a WebDataset shard: a tar archive that is not packed, because images are read out of its middle',
    remedy: kind?.startsWith('packed')
      ? 'unpack it, and name what comes out of it'
      : 'name another file, or get this one anew',
  });
}

function damaged({ name }: ByteSource, at: number, what: string): UserError {
  return new UserError(`${name} is damaged at byte ${at}: ${what}`, {
    expected: 'a whole tar archive',
    remedy: 'get or make this shard anew',
  });
}
