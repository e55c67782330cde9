import sharp from 'sharp';
import type { ImageItem } from '../../contract/data-sets.js';
import { formatOf } from '../decode/decode.js';
import type { Picture } from '../picture.js';
import { bytesOf, decodeBytes, decodeTogether, isFile } from '../read-picture.js';
import { resample } from '../resample/resample.js';
import { extensionOf } from './tar-write.js';

export interface ConvertSettings {
  /** Shorter side to which larger images are brought, in pixels; null for none. */
  resize: number | null;
  /** Of their JPEG, from 1 to 100. */
  quality: number;
  pixelLimit: number;
}

/** An image file as it goes into a shard. */
export interface Converted {
  bytes: Uint8Array;
  /** Whether these are the bytes of the source. */
  isUnchanged: boolean;
  /** Of its format, such as 'jpg'; null where that of its name is right. */
  extension: string | null;
}

/** Extensions that readers of shards know. */
const EXTENSIONS = { jpeg: 'jpg', png: 'png', webp: 'webp', gif: 'gif', tiff: 'tif', avif: 'avif' } as const;

/**
 * Reads an image and makes it smaller where that is asked for, as JPEG; what is no picture file of the usual kinds, such as
 * a drawing that a plugin makes, becomes PNG.
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function convertImage(item: ImageItem, settings: ConvertSettings): Promise<Converted> {
  const { resize, quality, pixelLimit } = settings;
  const bytes = await bytesOf(item);
  const picture = await decodeBytes(bytes, isFile(item), pixelLimit);
  if (resize !== null && Math.min(picture.width, picture.height) > resize) {
    return { bytes: await smallerJpeg(picture, resize, quality), isUnchanged: false, extension: 'jpg' };
  }
  if (extensionOf(item.place ?? item.name) !== '') return { bytes, isUnchanged: true, extension: null };
  const format = formatOf(bytes);
  if (format !== null) return { bytes, isUnchanged: true, extension: EXTENSIONS[format] };
  return { bytes: await decodeTogether(() => encode(picture).png().toBuffer()), isUnchanged: false, extension: 'png' };
}

/** A picture whose shorter side has `shorter` pixels: bicubic with antialiasing. */
async function smallerJpeg(picture: Picture, shorter: number, quality: number): Promise<Buffer> {
  const { width, height } = picture;
  const longer = Math.max(shorter, Math.round((shorter * Math.max(width, height)) / Math.min(width, height)));
  const size = width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter };
  const rgb = resample(picture, { interpolation: 'bicubic', box: { left: 0, top: 0, width, height }, ...size });
  return decodeTogether(() =>
    encode({ rgb, ...size })
      .jpeg({ quality })
      .toBuffer(),
  );
}

function encode({ rgb, width, height }: Picture) {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}
