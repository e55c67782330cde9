import { type Code, TYPES, unsigned, type ValueType } from './instructions.js';

/** A function without a result; all of its parameters are i32. */
export interface WasmFunction {
  name: string;
  parameters: number;
  locals: readonly ValueType[];
  body: Code;
}

/** Makes the bytes of a module with these functions and a memory, all of them exported. */
export function assembleModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }) => [0x60, ...list(Array(parameters).fill([TYPES.i32])), ...list([])]);
  const indices = functions.map((_, index) => unsigned(index));
  const exported = functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)]);
  const bodies = functions.map(({ locals, body }) => {
    const code = [...list(locals.map((type) => [1, TYPES[type]])), ...body, 0x0b];
    return [...unsigned(code.length), ...code];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
    ...section(1, types),
    ...section(3, indices),
    ...section(5, [[0x00, 1]]), // one page to start with, no limit
    ...section(7, [...exported, [...text('memory'), 0x02, 0]]),
    ...section(10, bodies),
  ]);
}

function section(id: number, entries: readonly Code[]): Code {
  const content = list(entries);
  return [id, ...unsigned(content.length), ...content];
}

function list(entries: readonly Code[]): Code {
  return [...unsigned(entries.length), ...entries.flat()];
}

function text(value: string): Code {
  return list([...Buffer.from(value)].map((byte) => [byte]));
}
