/** A rectangle of samples of one colour, or of three that are interleaved. */
export interface Plane {
  /** Address in the memory of the machine, and bytes a row. */
  address: number;
  stride: number;
  /** Where its first sample lies in the whole plane. */
  left: number;
  top: number;
}

/** The geometry of one colour of a picture; all of it follows from the header. */
export interface Layout {
  /** Pixels of the image that a sample at this scale stands for. */
  scale: number;
  halvedAcross: boolean;
  halvedDown: boolean;
  /** Samples of the whole plane. */
  width: number;
  height: number;
}

/** What decoded pixels are: three planes of Y, Cb and Cr, or one of interleaved RGB. */
export type Colours =
  | { kind: 'ycc'; luma: Layout; chroma: Layout; planes: readonly [Plane, Plane, Plane] }
  | { kind: 'rgb'; layout: Layout; plane: Plane };
