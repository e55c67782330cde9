import type { CropBox } from './crop.js';

/** Whether the columns or rows of a stored picture are mirrored, after width and height have changed places. */
function turnOf(orientation: number): { swaps: boolean; mirrorsAcross: boolean; mirrorsDown: boolean } {
  return {
    swaps: orientation >= 5,
    mirrorsAcross: [2, 3, 7, 8].includes(orientation),
    mirrorsDown: [3, 4, 6, 7].includes(orientation),
  };
}

export interface Size {
  width: number;
  height: number;
}

/** The size of a stored picture when it is upright. */
export function uprightSize({ width, height }: Size, orientation: number): Size {
  return turnOf(orientation).swaps ? { width: height, height: width } : { width, height };
}

/** A box of the upright picture as one of the stored picture. */
export function storedBox(box: CropBox, stored: Size, orientation: number): CropBox {
  const { swaps, mirrorsAcross, mirrorsDown } = turnOf(orientation);
  const { left, top, width, height } = swaps
    ? { left: box.top, top: box.left, width: box.height, height: box.width }
    : box;
  return {
    left: mirrorsAcross ? stored.width - left - width : left,
    top: mirrorsDown ? stored.height - top - height : top,
    width,
    height,
  };
}

/** Turns a square that was cut out of a stored picture upright. @param rgb [S, S, 3] */
export function turnUpright(rgb: Uint8Array, side: number, orientation: number): Uint8Array {
  if (orientation === 1) return rgb;
  const { swaps, mirrorsAcross, mirrorsDown } = turnOf(orientation);
  const upright = new Uint8Array(rgb.length);
  for (let y = 0, to = 0; y < side; y++) {
    for (let x = 0; x < side; x++, to += 3) {
      const [column, row] = swaps ? [y, x] : [x, y];
      const from = ((mirrorsDown ? side - 1 - row : row) * side + (mirrorsAcross ? side - 1 - column : column)) * 3;
      upright[to] = rgb[from] as number;
      upright[to + 1] = rgb[from + 1] as number;
      upright[to + 2] = rgb[from + 2] as number;
    }
  }
  return upright;
}
