import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageTypes } from '../../core/base/protobuf.js';
import { isEventFile, maskedCrc } from '../../core/report/event-file.js';

/** What is read of an event. */
interface Event {
  step: number;
  fileVersion?: string;
  /** A session starts, and steps from this one on are forgotten. */
  isStart: boolean;
  values: {
    tag: string;
    simpleValue?: number;
    image?: { height: number; width: number; png: Buffer };
    text?: string;
  }[];
}

const EVENT = messageTypes({
  Event: 'step int64 2, fileVersion string 3, summary Summary 5, sessionLog SessionLog 7',
  SessionLog: 'status int32 1',
  Summary: 'value Value* 1',
  Value: 'tag string 1, simpleValue float? 2, image Image 4, tensor Tensor 8',
  Image: 'height int32 1, width int32 2, png bytes 4',
  Tensor: 'text string* 8',
}).lookupType('Event');

/** The events of a file, up to the first record that is not whole, where TensorBoard stops too. */
export function readEvents(file: Buffer): Event[] {
  const events: Event[] = [];
  for (let at = 0, end = 0; at + 12 <= file.length; at = end) {
    const length = Number(file.readBigUInt64LE(at));
    end = at + 12 + length + 4;
    if (file.readUInt32LE(at + 8) !== maskedCrc(file.subarray(at, at + 8)) || end > file.length) break;
    const data = file.subarray(at + 12, at + 12 + length);
    if (file.readUInt32LE(end - 4) !== maskedCrc(data)) break;
    events.push(decode(data));
  }
  return events;
}

/** What TensorBoard shows of a folder: each tag's steps, with files in the order of their names. */
export function shownValues(folder: string): Map<string, Map<number, Event['values'][number]>> {
  const shown = new Map<string, Map<number, Event['values'][number]>>();
  for (const name of readdirSync(folder).filter(isEventFile).sort()) {
    for (const { step, isStart, values } of readEvents(readFileSync(join(folder, name)))) {
      for (const steps of isStart ? shown.values() : []) {
        for (const earlier of steps.keys()) if (earlier >= step) steps.delete(earlier);
      }
      for (const value of values) {
        const steps = shown.get(value.tag) ?? new Map();
        if (steps.has(step)) throw new Error(`${value.tag} is there twice at step ${step}`);
        shown.set(value.tag, steps.set(step, value));
      }
    }
  }
  return shown;
}

function decode(data: Buffer): Event {
  const { step = 0, fileVersion, summary, sessionLog } = EVENT.toObject(EVENT.decode(data), { longs: Number });
  const values = (summary?.value ?? []).map(({ tensor, ...value }: { tensor?: { text: string[] } }) => {
    return { ...value, ...(tensor && { text: tensor.text[0] }) };
  });
  return { step, ...(fileVersion && { fileVersion }), isStart: sessionLog?.status === 1, values };
}
