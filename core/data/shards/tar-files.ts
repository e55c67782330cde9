import { Header, type HeaderData, Pax } from 'tar';
import { UserError } from '../../errors.js';
import { FILE_TYPES } from '../../fetch/tar.js';
import { type ByteSource, windowReader } from './source.js';

/** A file in a tar archive. */
export interface TarFile {
  name: string;
  /** Where its content begins, in bytes from the start of the archive. */
  offset: number;
  /** Bytes of its content. */
  size: number;
  /** Reads its content; to be called before the next file is asked for. */
  content(): Promise<Buffer>;
}

const BLOCK = 512;
/** Most bytes of what is said of an entry before it, such as its long name. */
const LONGEST_NOTE = 1 << 20;

/** Entries that say something of the next one, or of all that follow. */
const LONG_NAMES = ['NextFileHasLongPath', 'OldGnuLongPath'];
const NOTES = ['ExtendedHeader', 'OldExtendedHeader', 'GlobalExtendedHeader', ...LONG_NAMES];

/**
 * The files of a tar archive (ustar, GNU, pax), by its headers alone: contents are passed over. Folders, links and devices
 * are left out.
 * @throws UserError that names the byte where the archive is damaged or ends too soon
 */
export async function* tarFiles(source: ByteSource): AsyncGenerator<TarFile> {
  const read = windowReader(source);
  let global: HeaderData | undefined;
  let next: HeaderData | undefined;
  for (let at = 0; ; ) {
    if (at + BLOCK > source.size) throw endsTooSoon(source, at);
    const header = readHeader(await read(at, BLOCK), next, global);
    if (header?.nullBlock) return;
    if (!header?.cksumValid) throw await noHeader(source, at);
    const { type, size = 0 } = header;
    const name = String(next?.path ?? header.path); // a long name is not put behind the prefix of the short one
    const offset = at + BLOCK;
    if (!Number.isSafeInteger(size)) throw damaged(source, at, `an entry of ${size} bytes`);
    if (offset + size > source.size) {
      throw damaged(
        source,
        at,
        `${name} has ${size} bytes, of which ${source.size - offset} are there: it was cut off`,
      );
    }
    if (NOTES.includes(type)) {
      if (size > LONGEST_NOTE) throw damaged(source, at, `a header of ${size} bytes`);
      const text = (await read(offset, size)).toString();
      if (LONG_NAMES.includes(type)) next = { ...next, path: text.replace(/\0.*/s, '') };
      else if (type === 'GlobalExtendedHeader') global = Pax.parse(text, global, true);
      else next = Pax.parse(text, next, false);
    } else {
      next = undefined;
      if (FILE_TYPES.includes(type)) yield { name, offset, size, content: () => read(offset, size) };
    }
    at = offset + BLOCK * Math.ceil(size / BLOCK);
  }
}

/** Null where numbers cannot be read. */
function readHeader(block: Buffer, next: HeaderData | undefined, global: HeaderData | undefined): Header | null {
  try {
    return new Header(block, 0, next, global);
  } catch {
    return null;
  }
}

function endsTooSoon(source: ByteSource, at: number): UserError {
  if (source.size === 0) return damaged(source, 0, 'it is empty');
  if (source.size < BLOCK) return notTar(source, '');
  return damaged(source, Math.min(at, source.size), 'it ends there without the end mark of an archive: it was cut off');
}

/** @param at where no header is, though one should be */
async function noHeader(source: ByteSource, at: number): Promise<UserError> {
  if (at > 0) return damaged(source, at, 'what should be a header is none (wrong checksum)');
  const [first, second] = await source.read(0, 2);
  return notTar(source, first === 0x1f && second === 0x8b ? ', but packed with gzip' : '');
}

function notTar({ name }: ByteSource, how: string): UserError {
  return new UserError(`${name} is no tar archive${how}: byte 0 begins no header`, {
    expected: 'a WebDataset shard: a tar archive that is not packed, because images are read out of its middle',
    remedy: how ? `unpack it: gunzip ${name}` : 'name another file, or get this one anew',
  });
}

function damaged({ name }: ByteSource, at: number, what: string): UserError {
  return new UserError(`${name} is damaged at byte ${at}: ${what}`, {
    expected: 'a whole tar archive',
    remedy: 'get or make this shard anew',
  });
}
