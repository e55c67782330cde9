import { extname, join } from 'node:path';
import { shownName } from '../../base/file-names.js';

const JPEG = ['.jpg', '.jpeg', '.jpe', '.jfif', '.jfi', '.jif', '.pjpeg', '.pjp'];
/** Endings of files that are taken for images, in any case. */
export const IMAGE_EXTENSIONS = [...JPEG, '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];
/** The ones that people know, for messages. */
export const USUAL_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];

const CONVERT = 'is not read (convert them to JPEG or PNG)';
const RAW =
  '.3fr .ari .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f';

/** Files of which somebody may think that they are taken, by their endings: what to call them, and why they are not. */
const PASSED_OVER: readonly [endings: string, noun: string, reason: string][] = [
  ['.heic .heics .heif .heifs .hif', 'picture', `HEIC ${CONVERT}`],
  [RAW, 'picture', `a camera's raw data ${CONVERT}`],
  ['.bmp .dib', 'picture', `BMP ${CONVERT}`],
  ['.jxl', 'picture', `JPEG XL ${CONVERT}`],
  ['.jp2 .j2k .j2c .jpc .jpf .jph .jpx', 'picture', `JPEG 2000 ${CONVERT}`],
  ['.jxr .wdp .hdp', 'picture', `JPEG XR ${CONVERT}`],
  ['.psd .psb', 'picture', `the form of Photoshop ${CONVERT}`],
  ['.xcf', 'picture', `the form of GIMP ${CONVERT}`],
  ['.svg .svgz .eps', 'drawing', `drawings are not read (convert them to PNG)`],
  ['.ico .icns .cur', 'picture', `the form of icons ${CONVERT}`],
  ['.ppm .pgm .pbm .pnm .pam .pfm', 'picture', `PNM ${CONVERT}`],
  ['.tga', 'picture', `TGA ${CONVERT}`],
  ['.pcx', 'picture', `PCX ${CONVERT}`],
  ['.dds', 'picture', `DDS ${CONVERT}`],
  ['.exr .hdr', 'picture', `a form with more than 8 bits of brightness ${CONVERT}`],
  ['.dcm .dicom', 'picture', `DICOM ${CONVERT}`],
  ['.fit .fits .fts', 'picture', `FITS ${CONVERT}`],
  ['.apng .mng .jng .mpo .jps', 'picture', `this relative of PNG or JPEG ${CONVERT}`],
  ['.tar', 'shard', 'not taken together with other files (name shards alone to train from them)'],
  ['.7z .bz2 .gz .rar .tgz .xz .zip .zst', 'archive', 'nothing is taken out of archives (unpack them)'],
];

const REASONS = new Map(
  PASSED_OVER.flatMap(([endings, noun, reason]) =>
    endings.split(' ').map((ending) => [ending, { noun, reason }] as const),
  ),
);

/** Folders that programs make beside pictures, in lower case, and what is in them. */
const SET_ASIDE: Readonly<Record<string, string>> = {
  '@eadir': 'thumbnails of a file server',
  '#recycle': 'what was thrown away',
  '#snapshot': 'earlier states of the folder',
  '@recycle': 'what was thrown away',
  '$recycle.bin': 'what was thrown away',
  'system volume information': "the system's own data",
  'lost+found': "the system's own data",
  __macosx: "the system's own data",
};

/** Whether a file has the name of an image that is read. */
export function isImage(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());
}

/** What a file is called that is passed over although it may hold pictures, and the reason; undefined for other files. */
export function passedOver(name: string): { noun: string; reason: string } | undefined {
  return REASONS.get(extname(name).toLowerCase());
}

/** What is in a folder that is set aside by its name; undefined for other folders. */
export function setAside(name: string): string | undefined {
  return name.startsWith('.') ? 'a name that starts with a dot' : SET_ASIDE[name.toLowerCase()];
}

/** Some things that were found and not taken, for one reason. */
export interface LeftOutGroup {
  /** What they are, one of them: 'picture'. */
  noun: string;
  reason: string;
  count: number;
  /** The first of them: a name, or a path. */
  example: string;
}

/** What was found and not taken: counted by reason, with an example of each. */
export class LeftOut {
  readonly #groups = new Map<string, LeftOutGroup>();

  add(noun: string, reason: string, example: string, number = 1): void {
    const key = `${noun}: ${reason}`;
    const group = this.#groups.get(key);
    if (group) group.count += number;
    else this.#groups.set(key, { noun, reason, count: number, example });
  }

  /** @param folder where they were found, which goes before the examples */
  addAll(groups: readonly LeftOutGroup[], folder: string): void {
    for (const { noun, reason, example, count } of groups) this.add(noun, reason, join(folder, example), count);
  }

  get groups(): LeftOutGroup[] {
    return [...this.#groups.values()];
  }

  /** For people, one line for each reason: '5 pictures left out: HEIC is not read, such as photos/a.heic'. */
  get notes(): string[] {
    return this.groups.map(({ noun, reason, count, example }) => {
      const such = count === 1 ? ': ' : ', such as ';
      const nouns = count === 1 ? noun : noun.replace(/y$/, 'ie').concat('s');
      return `${count} ${nouns} left out: ${reason}${such}${shownName(example)}`;
    });
  }
}
