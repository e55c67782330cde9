import sharp from 'sharp';

const END_MARK = Uint8Array.of(0xff, 0xd9);

/**
 * A JPEG with the mark at its end that it lacks: writers that were cut off leave one away, though all of the picture is there.
 * Whether it is shows in decoding, which then has to pass without a warning.
 * @returns null where nothing is to be gained: it has the mark, or is progressive, where no more tells whether its last
 *   passes are there
 */
export async function withEndMark(bytes: Uint8Array): Promise<Uint8Array | null> {
  const end = bytes.length;
  if (bytes[end - 2] === 0xff && bytes[end - 1] === 0xd9) return null;
  const { isProgressive } = await sharp(bytes).metadata();
  return isProgressive ? null : Buffer.concat([bytes, END_MARK]);
}
