import {
  countOf,
  type ElementType,
  isDictionary,
  isList,
  rowStrides,
  STORAGES,
  type TorchTensor,
  type TorchTree,
} from './tree.js';

/** The names of storages by the types that are written. */
const STORAGE_NAMES = new Map<ElementType, string>([...STORAGES].reverse().map(([name, { type }]) => [type, name]));

/**
 * A tree as a pickle of protocol 2, which every version of PyTorch reads. The n-th tensor has its values in a storage of
 * its own with the key n, from 0. Whole numbers become Python's int, others float; lists stay lists.
 */
export function pickle(tree: TorchTree): { bytes: Buffer; tensors: TorchTensor[] } {
  const tensors: TorchTensor[] = [];
  const storage = (tensor: TorchTensor) => [
    ...['(', ...text('storage'), `ctorch\n${STORAGE_NAMES.get(tensor.type)}\n`],
    ...[...text(String(tensors.push(tensor) - 1)), ...text('cpu'), number(countOf(tensor.shape)), 'tQ'],
  ];
  const write = (value: TorchTree): Piece[] => {
    if (value === null) return ['N'];
    if (typeof value === 'boolean') return [value ? '\x88' : '\x89'];
    if (typeof value === 'number') return [number(value)];
    if (typeof value === 'string') return text(value);
    if (isList(value)) return ['](', ...value.flatMap(write), 'e'];
    if (isDictionary(value)) return ['}(', ...[...value].flat().flatMap(write), 'u'];
    const sizes = (values: readonly number[]) => ['(', ...values.map(number), 't'];
    return [
      'ctorch._utils\n_rebuild_tensor_v2\n(',
      ...storage(value),
      number(0), // offset
      ...sizes(value.shape),
      ...sizes(rowStrides(value.shape)),
      '\x89ccollections\nOrderedDict\n)RtR', // needs no gradient, has no hooks
    ];
  };
  const pieces = ['\x80\x02', ...write(tree), '.'];
  const bytes = Buffer.concat(
    pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)),
  );
  return { bytes, tensors };
}

/** Instructions and names, or other bytes. */
type Piece = string | Buffer;

function text(value: string): Piece[] {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return ['X', length, bytes];
}

function number(value: number): Piece {
  const bytes = Buffer.alloc(10);
  if (!Number.isSafeInteger(value)) {
    bytes.write('G');
    bytes.writeDoubleBE(value, 1);
    return bytes.subarray(0, 9);
  }
  if (value === (value | 0)) {
    bytes.write('J');
    bytes.writeInt32LE(value, 1);
    return bytes.subarray(0, 5);
  }
  bytes.write('\x8a\x07', 'latin1');
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes.subarray(0, 9); // 7 bytes hold every whole number that is exact
}
