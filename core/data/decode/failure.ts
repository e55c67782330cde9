import sharp from 'sharp';
import type { Picture } from '../picture.js';
import { type DecodeRequest, decodePicture } from './decode.js';
import { formatOf } from './format.js';
import { decodeAlone } from './turns.js';

/** Most times that a failing picture is decoded. */
const ATTEMPTS = 8;
/** What sharp says where libvips' buffer was emptied before it could read it. */
const NO_REASON = 'Unknown error';

/**
 * Decodes a picture again that could not be decoded, alone, until it fails in the same way twice in a row: a failure takes
 * along what others left in libvips' buffer, and who writes pictures meanwhile empties it.
 * @throws Error with the picture's own reason, in one line
 */
export async function decodeAgain(request: DecodeRequest): Promise<Picture> {
  return decodeAlone(async () => {
    let reason = '';
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return await decodePicture(request); // as when memory was short before
      } catch (error) {
        const before = reason;
        reason = reasonIn(error instanceof Error ? error.message : String(error), request);
        if (reason === before && reason !== NO_REASON) break;
      }
    }
    throw new Error(/exceeds pixel limit/.test(reason) ? await sizeOf(request).catch(() => reason) : reason);
  });
}

async function sizeOf({ bytes, pixelLimit }: DecodeRequest): Promise<string> {
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return `it has ${autoOrient.width} x ${autoOrient.height} pixels, more than the limit of ${pixelLimit}`;
}

/** Before the lines of libvips that tell what is wrong with a header; it may have none. */
const CORRUPT_HEADER = /^Input (?:buffer|file) has corrupt header:/;

/** What the reader of AVIF leaves where it looks for the end of a file. */
const PROBING = /^source: bad seek to /;

/** All lines of a message as one, each once. */
function reasonIn(message: string, { bytes }: DecodeRequest): string {
  const lines = message
    .replace(CORRUPT_HEADER, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !PROBING.test(line));
  const reason = [...new Set(lines)].join('; ');
  if (!CORRUPT_HEADER.test(message)) return reason || 'it is damaged';
  const format = formatOf(bytes);
  const size = format === 'png' && bytes.length >= 24 ? ` of a picture of ${pngSize(bytes)} pixels` : '';
  return `its ${format?.toUpperCase() ?? 'file'} header${size} is damaged${reason && `: ${reason}`}`;
}

function pngSize(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return `${view.getUint32(16)} x ${view.getUint32(20)}`;
}
