import sharp from 'sharp';
import { type Ask, decodePicture } from './decode.js';
import { formatOf } from './format.js';
import { decodeAlone } from './turns.js';

/**
 * The error of a picture that could not be decoded, with its own reason in one line: it is decoded again alone, twice,
 * because the first failure takes along what others left in libvips' buffer.
 */
export async function explainFailure(ask: Ask, failure: unknown): Promise<Error> {
  if (!(failure instanceof Error)) throw failure;
  return decodeAlone(async () => {
    await decodePicture(ask).catch(() => {});
    const again = await decodePicture(ask).then(
      () => failure, // as when memory was short
      (error: Error) => error,
    );
    const size = /exceeds pixel limit/.test(again.message) ? await sizeOf(ask) : null;
    return new Error(size ?? reasonIn(again.message, ask), { cause: again });
  });
}

async function sizeOf({ bytes, pixelLimit }: Ask): Promise<string> {
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return `it has ${autoOrient.width} x ${autoOrient.height} pixels, more than the limit of ${pixelLimit}`;
}

/** Before the lines of libvips that tell what is wrong with a header; it may have none. */
const CORRUPT_HEADER = /^Input (?:buffer|file) has corrupt header:/;

/** All lines of a message as one, each once. */
function reasonIn(message: string, { bytes }: Ask): string {
  const lines = message
    .replace(CORRUPT_HEADER, '')
    .split('\n')
    .map((line) => line.trim());
  const reason = [...new Set(lines)].filter((line) => line !== '').join('; ');
  if (!CORRUPT_HEADER.test(message)) return reason;
  const format = formatOf(bytes);
  const size = format === 'png' && bytes.length >= 24 ? ` of a picture of ${pngSize(bytes)} pixels` : '';
  return `its ${format?.toUpperCase() ?? 'file'} header${size} is damaged${reason && `: ${reason}`}`;
}

function pngSize(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return `${view.getUint32(16)} x ${view.getUint32(20)}`;
}
