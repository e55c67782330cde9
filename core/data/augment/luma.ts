/** Pillow's luma (ITU-R 601) of a colour, 0 to 255. */
export function luma(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}
