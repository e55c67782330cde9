import { gzipSync } from 'node:zlib';
import { Header, type types } from 'tar';

/** An entry of an archive as it may come from anybody. */
export interface MadeEntry {
  name: string;
  content?: string | Buffer;
  type?: types.EntryTypeName;
  linkpath?: string;
  /** Kind of file and permissions as Unix systems have them, for zip. */
  mode?: number;
  /** Size that is claimed, where it is not that of the content. */
  claims?: number;
}

/** A tar archive with the entries as they are given, however wrong. */
export function makeTar(entries: readonly MadeEntry[]): Buffer {
  const blocks = entries.flatMap(({ name, content = '', type = 'File', linkpath, claims }) => {
    const bytes = Buffer.from(content);
    const header = new Header({
      path: name,
      size: claims ?? bytes.length,
      type,
      mode: 0o644,
      ...(linkpath && { linkpath }),
    });
    const block = Buffer.alloc(512);
    header.encode(block);
    return [block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export function makeTarGz(entries: readonly MadeEntry[]): Buffer {
  return gzipSync(makeTar(entries));
}

/** A zip archive of uncompressed entries, made on Unix. */
export function makeZip(entries: readonly MadeEntry[]): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const { name, content = '', mode = 0o100644 } of entries) {
    const bytes = Buffer.from(content);
    const title = Buffer.from(name);
    const sizes = Buffer.alloc(8);
    sizes.writeUInt32LE(bytes.length, 0);
    sizes.writeUInt32LE(bytes.length, 4);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    sizes.copy(local, 18);
    local.writeUInt16LE(title.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE((3 << 8) | 20, 4); // made on Unix
    sizes.copy(central, 20);
    central.writeUInt16LE(title.length, 28);
    central.writeUInt32LE((mode << 16) >>> 0, 38);
    central.writeUInt32LE(offset, 42);
    locals.push(local, title, bytes);
    centrals.push(central, title);
    offset += local.length + title.length + bytes.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
