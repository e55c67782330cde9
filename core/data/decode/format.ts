import { contentKind } from '../../base/content-kind.js';

/** The kinds of picture files that are read. */
export type Format = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

const READ = 'JPEG, PNG, WebP, AVIF, GIF or TIFF';
/** How files of each kind begin, in hexadecimal digits. */
const BEGINNINGS: readonly [RegExp, Format][] = [
  [/^ffd8ff/, 'jpeg'],
  [/^89504e470d0a1a0a/, 'png'],
  [/^47494638(37|39)61/, 'gif'],
  [/^52494646.{8}57454250/, 'webp'],
  [/^(4949(2a|2b)00|4d4d00(2a|2b))/, 'tiff'],
  [/^.{8}66747970/, 'avif'],
];

/** What a file is by its content, whatever its name; null for what is not read. */
export function formatOf(bytes: Uint8Array): Format | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(16, bytes.length)).toString('hex');
  return BEGINNINGS.find(([beginning]) => beginning.test(start))?.[1] ?? null;
}

/** Why a file of another content is not read. Others could have more files read, or take any time to draw. */
export function whatElse(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  return `its content is ${contentKind(bytes) ?? `no picture of ${READ}`}`;
}
