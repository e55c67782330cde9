import type { FileHandle } from 'node:fs/promises';
import { withRegularFile } from '../../base/files.js';
import { changedFile } from '../../fetch/range.js';

/** Bytes that can be read anywhere: of a file, of a server, of a test. */
export interface ByteSource {
  /** Path or address, for messages. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Bytes that are read in one go where only a few are needed: more where asking takes long. */
  readonly window: number;
  /**
   * Exactly these bytes.
   * @throws UserError if they cannot be had, which says nothing of a single image
   */
  read(offset: number, length: number): Promise<Buffer>;
}

/** One read brings the headers between two images, and no more than needed of the images. */
const FILE_WINDOW = 8 << 10;

/**
 * A file, opened anew for each read, so that any number of shards leaves no file open.
 * @throws UserError if there is no such file
 */
export async function openFile(path: string): Promise<ByteSource> {
  const closed = await withOpenFile(path, async (source) => source);
  const read = (offset: number, length: number) =>
    withRegularFile(path, (file) => readExactly(file, path, offset, length));
  return { ...closed, read };
}

/** Uses a file that is kept open meanwhile, for many small reads. */
export async function withOpenFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  return withRegularFile(path, async (file, { size }) => {
    const read = (offset: number, length: number) => readExactly(file, path, offset, length);
    return use({ name: path, size, window: FILE_WINDOW, read });
  });
}

async function readExactly(file: FileHandle, path: string, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw changedFile(path, `it ends at byte ${offset + done}`);
    done += bytesRead;
  }
  return bytes;
}

/** Reads a source piece by piece, and keeps the last piece. */
export function windowReader(source: ByteSource): (offset: number, length: number) => Promise<Buffer> {
  let start = 0;
  let bytes: Buffer = Buffer.alloc(0);
  return async (offset, length) => {
    if (offset < start || offset + length > start + bytes.length) {
      bytes = await source.read(offset, Math.min(Math.max(length, source.window), source.size - offset));
      start = offset;
    }
    return bytes.subarray(offset - start, offset - start + length);
  };
}
