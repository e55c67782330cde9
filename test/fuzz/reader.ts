import type fc from 'fast-check';

/** A reader of outside bytes, with what is tried on it. A new one is a file in `readers`, named in `table.ts`. */
export interface FuzzedReader {
  /** By which it is asked for: 'safetensors'. */
  name: string;
  /** Name of the file in which the input lies; some readers go by its ending. */
  file: string;
  /** Inputs that are right, and such as keep to the format but for what they claim; bytes are changed beyond that. */
  inputs: fc.Arbitrary<Uint8Array>;
  /** Lays into the folder what the reader needs beside the input. */
  prepare?(folder: string): Promise<void>;
  /**
   * Reads the input as the program does.
   * @throws what the reader throws; AssertionError where it returned what it never may
   */
  read(path: string): Promise<void>;
  /** Whether an error says that the input is refused; UserError and PluginError where this is left out. */
  isRefusal?(error: unknown): boolean;
}
