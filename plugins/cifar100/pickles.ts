import { BufferReader, Parser } from 'pickleparser';
import { z } from 'zod';
import { PluginError } from '../../core/plugin.js';
import { IMAGE_BYTES, type Part } from './part.js';

/** What Python keeps of an array: [version, shape, type, column by column, bytes]. */
const numbers = z.custom<number[]>(
  (value) => Array.isArray(value) && value.every((entry) => typeof entry === 'number'),
  'not a list of numbers',
);
const arrayState = z.tuple([z.number(), numbers, z.unknown(), z.boolean(), z.unknown()]);
const batch = z.object({ data: z.unknown(), fine_labels: numbers });
const meta = z.object({
  fine_label_names: z.custom<string[]>(
    (value) => Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'string'),
    'not a list of names',
  ),
});

/** Strings of Python 2 that are longer than any text of this data set are bytes. */
const LONGEST_TEXT = 1000;
/**
 * The instructions that make dictionaries, lists, numbers, text and arrays. With the others of Python's pickles a short
 * file can make the parser work for hours.
 */
const INSTRUCTIONS = new Set(
  Buffer.from('\x80\x95.(NJKMG\x88\x89\x8aBC\x8eTUX\x8c\x8d])}aesut\x85\x86\x87qr\x94hjc\x93Rb', 'latin1'),
);

/** Reads a pickled batch of images: data [N, 3072] and fine_labels [N]. */
export function readBatch(place: string, bytes: Buffer): Part {
  const { data, fine_labels: labels } = unpickle(place, bytes, batch);
  const [rows, columns] = data instanceof PickledArray ? data.shape : [];
  const values = data instanceof PickledArray ? data.bytes : undefined;
  if (values === undefined || columns !== IMAGE_BYTES || rows !== labels.length || values.length !== rows * columns) {
    const shape = rows === undefined ? 'no array' : `an array [${rows}, ${columns}]`;
    throw new PluginError(`${place} holds ${shape} of ${values?.length ?? 0} bytes for ${labels.length} classes`, {
      expected: `data [N, ${IMAGE_BYTES}] of unsigned bytes, and N fine_labels`,
      remedy: 'unpack or fetch it anew',
    });
  }
  return { place, data: values, first: 0, stride: IMAGE_BYTES, labels };
}

/** Reads the names of the classes out of `meta`. */
export function readMeta(place: string, bytes: Buffer): string[] {
  return unpickle(place, bytes, meta).fine_label_names;
}

/** An array of unsigned bytes as numpy pickles it. */
class PickledArray {
  shape: readonly number[] = [];
  bytes: Uint8Array = new Uint8Array();

  constructor(private readonly reader: PickleReader) {}

  /** Called by the parser with what Python kept. */
  __setstate__(state: unknown): void {
    const [, shape, type, byColumns, content] = arrayState.parse(state);
    if (!(type instanceof PickledType) || !['u1', 'B', '|u1'].includes(type.code) || byColumns) {
      throw new Error('an array is not of unsigned bytes, row by row');
    }
    this.shape = shape;
    this.bytes = content instanceof Uint8Array ? content : this.reader.bytesOf(String(content));
  }
}

/** The type of an array's values. */
class PickledType {
  constructor(readonly code: string) {}
  __setstate__(): void {}
}

/** Keeps long strings of Python 2 as the bytes that they are; in the parser's result a mark stands for them. */
class PickleReader extends BufferReader {
  readonly #kept: Uint8Array[] = [];
  #made = 0;

  constructor(private readonly content: Uint8Array) {
    super(content);
  }

  /** Is asked before each instruction. */
  override hasNext(): boolean {
    const instruction = this.content[this.position];
    if (instruction === undefined || INSTRUCTIONS.has(instruction)) return super.hasNext();
    throw new Error(`it has the instruction ${instruction}, which this data set does without`);
  }

  override skip(count: number): void {
    if (!(count >= 0)) throw new Error('it has a length below zero'); // the parser would go back, for ever
    super.skip(count);
  }

  override uint64(): number {
    return this.uint32() + 2 ** 32 * this.uint32();
  }

  override string(size: number, encoding: 'ascii' | 'utf-8'): string {
    if (encoding === 'utf-8' || size <= LONGEST_TEXT) return super.string(size, encoding);
    const { buffer, byteOffset, byteLength } = this.bytes(size);
    return `bytes ${this.#kept.push(new Uint8Array(buffer, byteOffset, byteLength)) - 1}`;
  }

  bytesOf(mark: string): Uint8Array {
    return this.#kept[Number(/^bytes (\d+)$/.exec(mark)?.[1])] ?? this.encode(mark);
  }

  /** Text of Python 3 that stands for bytes. All of it together is no longer than the file unless it is made to be. */
  encode(text: string): Uint8Array {
    this.#made += text.length;
    if (this.#made > this.length) throw new Error('it makes more bytes than it has');
    return Buffer.from(text, 'latin1');
  }
}

/** Reads a pickle of Python 2 or 3. Only what the data set is made of is known; nothing else is constructed. */
function unpickle<T>(place: string, bytes: Buffer, form: z.ZodType<T>): T {
  try {
    const reader = new PickleReader(bytes);
    const known: Record<string, (...args: never[]) => unknown> = {
      'numpy.core.multiarray _reconstruct': () => new PickledArray(reader),
      'numpy._core.multiarray _reconstruct': () => new PickledArray(reader),
      'numpy dtype': (code: string) => new PickledType(code),
      'numpy ndarray': () => null,
      '_codecs encode': (text: string) => reader.encode(text),
    };
    const resolve = (module: string, name: string) => {
      const found = known[`${module} ${name}`];
      if (found) return found;
      throw new Error(`it asks for ${module}.${name}, which is no part of this data set`);
    };
    const parser = new Parser({ nameResolver: { resolve }, unpicklingTypeOfDictionary: 'Map' });
    const value = plain(parser.read<unknown>(reader));
    return form.parse(value);
  } catch (error) {
    const reason =
      error instanceof z.ZodError
        ? `at ${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`
        : error instanceof Error
          ? error.message
          : String(error);
    throw new PluginError(`${place} cannot be read as a Python pickle of CIFAR-100: ${reason}`, {
      expected: 'the file as it was published',
      remedy: 'unpack or fetch it anew',
    });
  }
}

/** A dictionary with keys and names of text, which Python 3 may have kept as bytes. */
function plain(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  const text = (x: unknown) =>
    x instanceof Uint8Array && x.length <= LONGEST_TEXT ? Buffer.from(x).toString('latin1') : x;
  const entries = [...value].map(([key, content]) => [
    String(text(key)),
    Array.isArray(content) ? content.map(text) : content,
  ]);
  return Object.fromEntries(entries);
}
