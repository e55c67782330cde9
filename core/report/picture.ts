import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { writeFileAtomically } from '../base/atomic.js';

/** The font of all pictures. It comes with the program, because many servers have none. */
const FONT = 'DejaVu Sans';
const FONT_FILE = fileURLToPath(new URL('../../../fonts/DejaVuSans.ttf', import.meta.url));

/** Draws an SVG as PNG and writes it whole or not at all. */
export async function writePicture(path: string, svg: string): Promise<void> {
  await loadFont();
  await writeFileAtomically(path, await sharp(Buffer.from(svg), { unlimited: true }).png().toBuffer());
}

/** A whole picture on white. */
export function drawing(width: number, height: number, parts: readonly string[], fontSize = 12): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" ` +
      `font-family="${FONT}" font-size="${fontSize}">`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    ...parts,
    '</svg>',
  ].join('\n');
}

/**
 * A square photograph as an address for SVG, scaled to `size` pixels.
 * @param rgb [side, side, 3]
 * @param enlarged whether its pixels are to be seen, not blurred
 */
export async function pngAddress(rgb: Uint8Array, side: number, size: number, enlarged = side < size): Promise<string> {
  const png = await sharp(rgb, { raw: { width: side, height: side, channels: 3 } })
    .resize(size, size, { kernel: enlarged ? 'nearest' : 'lanczos3' })
    .png()
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

/** Draws one invisible letter with the font's file, after which SVG text finds the font by name. */
async function loadFont(): Promise<void> {
  await sharp({ text: { text: '.', font: FONT, fontfile: FONT_FILE } })
    .raw()
    .toBuffer();
}

/** Text for use in SVG, which has no place for control characters. */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/\p{Cc}|\p{Cs}|[\uFFFE\uFFFF]/gu, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
