import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeAtomically } from '../../base/atomic.js';
import { PROGRAM, programVersion } from '../../base/program.js';
import { ELEMENT_TYPES, encodeMessage, fieldPrefix } from '../../engine/onnx/model-format.js';
import type { PortedGraph } from './encoder.js';
import { bytesOf, type ModelPort, type ModelWeight } from './graph.js';

/** The oldest that has LayerNormalization, and the version of the file format that came with it. */
const OPERATOR_SET = 17;
const IR_VERSION = 8;
/** Numbers of fields in the file format. */
const FIELDS = { graph: 7, initializer: 5, rawData: 9 };
/** TensorProto.DataLocation of data in another file. */
const EXTERNAL = 1;
/** Bytes at whose multiples data in another file begin, so that they can be mapped into memory. */
const PAGE = 4096;

/** Some bytes of a file, which are made when they are written. */
interface Piece {
  readonly length: number;
  readonly bytes: () => Uint8Array;
}

interface ModelFile {
  readonly path: string;
  readonly pieces: readonly Piece[];
}

/**
 * Writes a model, whole or not at all: as one file, or, where that would be larger than `largestFile` bytes, with its weights in
 * files beside it, `<path>_data`, `<path>_data_1` and so on, of at most as many bytes, or one tensor.
 * @returns the files' paths, the model first
 * @throws UserError if a file cannot be written
 */
export async function writeModel(path: string, ported: PortedGraph, largestFile: number): Promise<string[]> {
  const { weights } = ported.graph;
  const whole = modelPieces(ported, [], weights);
  const isSmall = lengthOf(whole) <= largestFile;
  const files = isSmall ? [{ path, pieces: whole }] : withDataFiles(path, ported, largestFile);
  await writeTogether(files);
  return files.map((file) => file.path);
}

/** Writes files that belong together: they get their names when all are written, the first one last. */
async function writeTogether([file, ...others]: readonly ModelFile[]): Promise<void> {
  if (!file) return;
  await writeAtomically(
    file.path,
    async (handle) => {
      for (const piece of file.pieces) await handle.appendFile(piece.bytes());
    },
    async (temporary, path) => {
      await writeTogether(others);
      await rename(temporary, path);
    },
  );
}

function withDataFiles(path: string, ported: PortedGraph, largestFile: number): ModelFile[] {
  const dataFiles: { path: string; pieces: Piece[] }[] = [];
  const initializers = ported.graph.weights.map((weight) => {
    const length = bytesOf(weight);
    let file = dataFiles.at(-1);
    let offset = PAGE * Math.ceil(lengthOf(file?.pieces ?? []) / PAGE);
    if (!file || offset + length > largestFile) {
      file = { path: `${path}_data${dataFiles.length === 0 ? '' : `_${dataFiles.length}`}`, pieces: [] };
      dataFiles.push(file);
      offset = 0;
    }
    file.pieces.push(zeros(offset - lengthOf(file.pieces)), dataOf(weight));
    const place = Object.entries({ location: basename(file.path), offset, length });
    const external_data = place.map(([key, value]) => ({ key, value: String(value) }));
    return { ...tensorMessage(weight), data_location: EXTERNAL, external_data };
  });
  return [{ path, pieces: modelPieces(ported, initializers, []) }, ...dataFiles];
}

/**
 * A model as the pieces of a file.
 * @param initializers messages of weights whose data lie elsewhere
 * @param weights those whose data are part of it
 */
function modelPieces(
  { graph, input, output }: PortedGraph,
  initializers: readonly object[],
  weights: readonly ModelWeight[],
): Piece[] {
  const model = {
    ir_version: IR_VERSION,
    producer_name: PROGRAM,
    producer_version: programVersion(),
    opset_import: [{ domain: '', version: OPERATOR_SET }],
  };
  const network = {
    node: graph.nodes,
    name: 'encoder',
    initializer: [...graph.constants, ...initializers],
    input: [portMessage(input)],
    output: [portMessage(output)],
  };
  const stored = weights.flatMap((weight) => {
    const message = piece(encodeMessage('TensorProto', tensorMessage(weight)));
    return field(FIELDS.initializer, [message, ...field(FIELDS.rawData, [dataOf(weight)])]);
  });
  const content = [piece(encodeMessage('GraphProto', network)), ...stored];
  return [piece(encodeMessage('ModelProto', model)), ...field(FIELDS.graph, content)];
}

function portMessage({ name, shape }: ModelPort) {
  const dim = shape.map((side) => (typeof side === 'number' ? { dim_value: side } : { dim_param: side }));
  return { name, type: { tensor_type: { elem_type: ELEMENT_TYPES.float32, shape: { dim } } } };
}

function tensorMessage({ name, type, shape }: ModelWeight) {
  return { dims: shape, data_type: ELEMENT_TYPES[type], name };
}

function field(number: number, content: readonly Piece[]): Piece[] {
  return [piece(fieldPrefix(number, lengthOf(content))), ...content];
}

function piece(bytes: Uint8Array): Piece {
  return { length: bytes.length, bytes: () => bytes };
}

function zeros(length: number): Piece {
  return { length, bytes: () => new Uint8Array(length) };
}

function dataOf(weight: ModelWeight): Piece {
  const bytes = () => {
    const { buffer, byteOffset, byteLength } = weight.data();
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { length: bytesOf(weight), bytes };
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
