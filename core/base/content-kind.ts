/** What stands in the place of a large file in a repository of which only the texts were fetched. */
const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\//;

/** How texts begin that are found in files of pictures' names: what to call them, with what to do where that is known. */
const TEXTS: readonly [RegExp, string][] = [
  [POINTER, 'a pointer of Git LFS, not the file itself (fetch it with: git lfs pull)'],
  [/^\s*<(?:!doctype html|html|head|body)\b/i, 'HTML: a page that was saved instead of the file'],
  [/^\s*<(?:svg\b|(?:\?xml\b|!doctype svg\b|!--).*<svg\b)/is, 'SVG, a drawing, not a picture'],
  [/^\s*<\?xml\b/, 'XML: perhaps the answer of a server that did not give the file'],
  [/^\s*[[{]\s*["{}\]]/, 'JSON: perhaps the answer of a server that did not give the file'],
];
/** How other contents begin, in hexadecimal digits. */
const BYTES: readonly [RegExp, string][] = [
  [/^424d/, 'BMP'],
  [/^38425053/, 'of Photoshop'],
  [/^25504446/, 'PDF'],
  [/^504b0304/, 'a zip archive'],
  [/^1f8b/, 'packed with gzip'],
  [/^425a68/, 'packed with bzip2'],
  [/^fd377a585a/, 'packed with xz'],
  [/^28b52ffd/, 'packed with zstd'],
  [/^ff0a|^0000000c4a584c20/, 'JPEG XL'],
  [/^0000000c6a502020/, 'JPEG 2000'],
  [/^(?:00)+$/, 'nothing but bytes of value 0'],
];
/** Bytes from which a content is told. */
export const KIND_BYTES = 512;

/** What the content of a file is that is not what its name says; null where that is not known. */
export function contentKind(bytes: Uint8Array): string | null {
  const hex = startOf(bytes).toString('hex');
  return textKind(bytes) ?? BYTES.find(([beginning]) => beginning.test(hex))?.[1] ?? null;
}

/** The same of a file that should be a text. */
export function textKind(bytes: Uint8Array): string | null {
  const text = new TextDecoder().decode(startOf(bytes)); // leaves the byte order mark out
  return TEXTS.find(([beginning]) => beginning.test(text))?.[1] ?? null;
}

/** Whether a file stands for another one that was not fetched. */
export function isPointer(bytes: Uint8Array): boolean {
  return POINTER.test(startOf(bytes).toString());
}

function startOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, Math.min(KIND_BYTES, length));
}
