import { LEGACY_NUMBER } from '../../core/exchange/torch/legacy.js';
import { isTensor, type TorchTree } from '../../core/exchange/torch/tree.js';

/** Values of a storage: their number as the file has it, and their bytes. */
export type MadeStorage = { key: string; count: number; bytes: Uint8Array };

/** A file in PyTorch's old form. `content`: instructions of a pickle, a character a byte, without beginning and end. */
export function legacyFile(content: string, storages: readonly MadeStorage[] = []): Buffer {
  const keys = storages.map(({ key }) => pickledText(key)).join('');
  const pickles = ['M\xe9\x03', `}(${pickledText('little_endian')}\x88u`, content, `](${keys}e`];
  const parts = pickles.map((each) => Buffer.from(`\x80\x02${each}.`, 'latin1'));
  const stored = storages.flatMap(({ count, bytes }) => [bytesOfCount(count), bytes]);
  return Buffer.concat([Buffer.from('\x80\x02', 'latin1'), LEGACY_NUMBER, ...parts, ...stored]);
}

/** Instructions for text of ASCII. */
export function pickledText(text: string): string {
  return `X${String.fromCharCode(text.length)}\0\0\0${text}`;
}

/** Instructions for a tensor, as `torch._utils._rebuild_tensor_v2` makes it. Numbers are instructions too: 'K\x02'. */
export function pickledTensor(how: {
  storage?: string;
  key?: string;
  count?: string;
  offset?: string;
  shape: string;
  strides: string;
}): string {
  const { storage = 'FloatStorage', key = '0', count = 'K\x06', offset = 'K\x00', shape, strides } = how;
  const id = `(${pickledText('storage')}ctorch\n${storage}\n${pickledText(key)}${pickledText('cpu')}${count}NtQ`;
  return `ctorch._utils\n_rebuild_tensor_v2\n(${id}${offset}(${shape}t(${strides}t\x89ccollections\nOrderedDict\n)RtR`;
}

/** A tree with the values of its tensors, for comparing. */
export async function loaded(tree: TorchTree): Promise<unknown> {
  if (tree instanceof Map) {
    const entries: [unknown, unknown][] = [];
    for (const [key, value] of tree) entries.push([key, await loaded(value)]);
    return { entries };
  }
  if (Array.isArray(tree)) return Promise.all(tree.map(loaded));
  if (!isTensor(tree)) return tree;
  const { shape, type } = tree;
  return { shape, type, values: Array.from(await tree.read(), Number) };
}

function bytesOfCount(count: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(count));
  return bytes;
}
