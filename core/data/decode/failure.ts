import sharp from 'sharp';
import { type Ask, decodePicture } from './decode.js';
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
    return new Error(size ?? joinLines(again.message), { cause: again });
  });
}

async function sizeOf({ bytes, pixelLimit }: Ask): Promise<string> {
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return `it has ${autoOrient.width} x ${autoOrient.height} pixels, more than the limit of ${pixelLimit}`;
}

/** All lines of a message as one; lines that are there twice count once. */
function joinLines(message: string): string {
  const lines = message.split('\n').map((line) => line.trim());
  return [...new Set(lines.filter((line) => line !== ''))].join(' ');
}
