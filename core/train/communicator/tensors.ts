import { mapValues } from '../../base/map-values.js';
import type { Wire } from '../../base/wire.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { Networks } from '../../methods/method.js';
import { lengthOf } from '../../nn/parameters.js';
import type { Communicator } from './communicator.js';
import { sumOfArrays } from './sum.js';

/** Sums tensors over ranks; the given ones are used up. The sums are valid until the next call. */
export async function sumTensors(communicator: Communicator, networks: Networks, wire: Wire): Promise<Networks> {
  const tensors = Object.values(networks).flatMap((own) => Object.values(own));
  const arrays = (await Promise.all(tensors.map((tensor) => tensor.data()))) as Float32Array[];
  const sums = await communicator.sum(arrays, wire);
  let at = 0;
  return mapValues(networks, (own) =>
    mapValues(own, ({ shape }) => {
      tensors[at].dispose();
      return tf.tensor(sums[at++], shape);
    }),
  );
}

/** A tensor of a rank on the host. */
type HostTensor = { shape: number[]; data: Float32Array };

/**
 * The tensors of every rank, by name and rank; the given ones stay. Ranks may give different numbers of rows.
 * @param tensors of float32
 */
export async function gatherTensors(
  communicator: Communicator,
  tensors: Readonly<Record<string, Tensor>>,
): Promise<Record<string, HostTensor[]>> {
  const all = await Promise.all(Object.values(tensors).map((tensor) => tensor.data()));
  const shapes = mapValues(tensors, ({ shape }) => shape);
  const text = JSON.stringify(shapes);
  const head = Buffer.from(`${text.padEnd(4 * Math.ceil((text.length + 1) / 4) - 1)}\n`); // numbers begin at a multiple of 4
  const own = Buffer.concat([
    head,
    ...all.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)),
  ]);
  const gathered: Record<string, HostTensor[]> = mapValues(tensors, () => []);
  for (const bytes of await communicator.gather(own)) {
    const end = bytes.indexOf(10) + 1;
    const theirs: Record<string, number[]> = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString());
    let start = bytes.byteOffset + end;
    for (const [name, shape] of Object.entries(theirs)) {
      const length = lengthOf(shape);
      gathered[name].push({ shape, data: new Float32Array(bytes.buffer, start, length) });
      start += 4 * length;
    }
  }
  return gathered;
}

/** Σ over ranks, in their order. */
export function sumOf(byRank: readonly HostTensor[]): Tensor {
  return tf.tensor(sumOfArrays(byRank.map(({ data }) => data)), byRank[0].shape);
}

/** The rows of all ranks, in their order. */
export function rowsOf(byRank: readonly HostTensor[]): Tensor {
  const rows = byRank.reduce((sum, { shape }) => sum + shape[0], 0);
  const data = new Float32Array(byRank.reduce((sum, { data }) => sum + data.length, 0));
  let start = 0;
  for (const own of byRank) {
    data.set(own.data, start);
    start += own.data.length;
  }
  return tf.tensor(data, [rows, ...byRank[0].shape.slice(1)]);
}
