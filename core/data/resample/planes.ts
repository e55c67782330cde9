/** A rectangle of samples of one colour, or of three that are interleaved, in the memory of the machine. */
export interface Plane {
  /** Of its first sample. */
  address: number;
  /** Bytes a row. */
  stride: number;
  /** Where its first sample lies in the whole plane. */
  left: number;
  top: number;
}

/** The geometry of the plane of a colour. */
export interface Layout {
  /** Pixels of the image that a sample at this scale stands for: 1, 2, 4 or 8. */
  scale: number;
  /** Whether two samples at that scale share one of this plane. */
  halvedAcross: boolean;
  halvedDown: boolean;
  /** Samples of the whole plane. */
  width: number;
  height: number;
}
