import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { writeFileAtomically } from '../base/atomic.js';

/** The font of all pictures. It comes with the program, because many servers have none. */
export const FONT = 'DejaVu Sans';
const FONT_FILE = fileURLToPath(new URL('../../../fonts/DejaVuSans.ttf', import.meta.url));

/** Draws an SVG as PNG and writes it whole or not at all. */
export async function writePicture(path: string, svg: string): Promise<void> {
  await loadFont();
  await writeFileAtomically(path, await sharp(Buffer.from(svg), { unlimited: true }).png().toBuffer());
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
