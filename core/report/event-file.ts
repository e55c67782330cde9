import { appendFileSync, closeSync, ftruncateSync, openSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { attempt, explainSystemError, explainWriteError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { messageTypes } from '../base/protobuf.js';

/** What TensorBoard shows under a tag: a number, a picture as PNG, or a text in Markdown. */
type EventValue = number | { png: Buffer } | { text: string };

/** Values by their tags; those that begin with the same word and a slash are shown together. */
export type EventValues = Readonly<Record<string, EventValue>>;

const FILE_NAME = /^events\.out\.tfevents\.(\d+)\./;

/** Whether a file of this name is one that TensorBoard reads. */
export function isEventFile(name: string): boolean {
  return FILE_NAME.test(name);
}

/**
 * Begins a new file of events in a folder, which is made where it is missing; earlier files are left as they are.
 * @param firstStep what they tell of this step and later ones does not count any more
 * @throws UserError if it cannot be written
 */
export async function openEventFile(folder: string, firstStep: number) {
  let path = folder;
  let file: number;
  try {
    await makeFolders(folder);
    path = join(folder, nextName(await readdir(folder)));
    file = openSync(path, 'ax');
  } catch (error) {
    throw explainWriteError(error, path);
  }
  let size = 0;
  const append = (...events: Uint8Array[]) => {
    const bytes = Buffer.concat(events);
    try {
      appendFileSync(file, bytes);
      size += bytes.length;
    } catch (error) {
      attempt(() => ftruncateSync(file, size), undefined); // half a record would hide all that follow
      throw explainSystemError(error, path);
    }
  };
  const now = () => Date.now() / 1000;
  append(...headRecords(now(), firstStep));
  return {
    path,
    /** Adds values of a step. They are in the file at once. */
    add: (step: number, values: EventValues) => append(valuesRecord(now(), step, values)),
    close: () => closeSync(file),
  };
}

/** TensorBoard reads files in the order of their names: the clock may have been put back since the last one. */
function nextName(names: readonly string[]): string {
  const earlier = names.flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []);
  const seconds = Math.max(Math.floor(Date.now() / 1000), ...earlier.map((seconds) => Number(seconds) + 1));
  return `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.0`;
}

/** The part of TensorFlow's event.proto, summary.proto and tensor.proto that is written, with its names and numbers. */
const Event = messageTypes({
  Event: 'wall_time double 1, step int64 2, file_version string 3, summary Summary 5, session_log SessionLog 7',
  SessionLog: 'status int32 1',
  Summary: 'value Value* 1',
  Value: 'tag string 1, simple_value float? 2, image Image 4, tensor TensorProto 8, metadata SummaryMetadata 9',
  Image: 'height int32 1, width int32 2, encoded_image_string bytes 4',
  TensorProto: 'dtype int32 1, string_val bytes* 8',
  SummaryMetadata: 'plugin_data PluginData 1',
  PluginData: 'plugin_name string 1',
}).lookupType('Event');

const VERSION = 'brain.Event:2';
/** SessionLog.START: what was written of this step and later ones is to be forgotten. */
const START = 1;
const DT_STRING = 7;
/** Where a PNG has its sides, in bytes from its start. */
const PNG_WIDTH = 16;
const PNG_HEIGHT = 20;

/** The records that a file begins with. */
export function headRecords(seconds: number, firstStep: number): Uint8Array[] {
  return [
    record({ wall_time: seconds, file_version: VERSION }),
    record({ wall_time: seconds, step: firstStep, session_log: { status: START } }),
  ];
}

/**
 * The record of a step's values.
 * @param seconds when they were measured, since 1970
 */
export function valuesRecord(seconds: number, step: number, values: EventValues): Uint8Array {
  const value = Object.entries(values).map(([tag, value]) => ({ tag, ...fieldsOf(value) }));
  return record({ wall_time: seconds, step, summary: { value } });
}

function fieldsOf(value: EventValue): object {
  if (typeof value === 'number') return { simple_value: value };
  if ('text' in value) {
    const tensor = { dtype: DT_STRING, string_val: [Buffer.from(value.text)] };
    return { tensor, metadata: { plugin_data: { plugin_name: 'text' } } };
  }
  const { png } = value;
  const sides = { height: png.readUInt32BE(PNG_HEIGHT), width: png.readUInt32BE(PNG_WIDTH) };
  return { image: { ...sides, encoded_image_string: png } };
}

/** An event as TFRecord: its length and itself, each with its checksum behind it; little-endian. */
function record(event: Readonly<Record<string, unknown>>): Uint8Array {
  const data = Event.encode(event).finish();
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(maskedCrc(data));
  return Buffer.concat([head, data, end]);
}

/** CRC-32C (Castagnoli) of each byte, bits reflected. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C, turned and shifted as TFRecord wants it, so that checksums of data that hold checksums stay good. */
export function maskedCrc(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] as number);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
