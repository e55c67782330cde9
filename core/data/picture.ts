/** In pixels. */
export interface Size {
  width: number;
  height: number;
}

/** A decoded picture, upright. */
export interface Picture extends Size {
  /** [height, width, 3] */
  rgb: Uint8Array;
}

/** A part of a picture, in whole pixels. */
export interface CropBox extends Size {
  left: number;
  top: number;
}
