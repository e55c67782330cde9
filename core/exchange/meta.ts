import { UserError } from '../base/errors.js';
import { decoderShapes, encoderShapes, type ParameterShapes } from '../nn/parameters.js';
import { sincosTable } from '../nn/positions.js';
import { gridSize, type ImageShape, type VitSize } from '../nn/sizes.js';
import { inferSize, ratioOf } from './bare.js';
import { type Moments, optimiserTree, readMoments } from './meta-optimiser.js';
import { isDictionary, isTensor, type TorchTensor, type TorchTree, tensorOf } from './torch/tree.js';

/* Checkpoints of the reference code (facebookresearch/ijepa: src/helper.py, src/train.py), as torch.save wrote them. */

/** The networks of a checkpoint, by their names here and there. */
const NETWORKS = ['encoder', 'predictor', 'target_encoder'] as const;
type NetworkName = (typeof NETWORKS)[number];

/** What a checkpoint of the reference code has in common with one of this program. */
export interface MetaCheckpoint {
  readonly sizes: ImageShape & { encoder: VitSize; predictor: VitSize };
  /** Epochs that were trained. */
  readonly epoch: number;
  /** Each network's tensors by their names here; positions, which do not learn, are left out. */
  readonly networks: Readonly<Record<NetworkName, ReadonlyMap<string, TorchTensor>>>;
  /** What AdamW keeps; null where it was not saved. */
  readonly moments: Moments | null;
}

/** Goes before each name: the reference code trains networks that are wrapped for several processes. */
const WRAPPED = 'module.';
/** Its names of positions, which it stores. */
const POSITIONS = { encoder: 'pos_embed', predictor: 'predictor_pos_embed', target_encoder: 'pos_embed' } as const;
/** The loss scale with which it starts. It wants one where it trains in bfloat16, and looks at none elsewhere. */
const LOSS_SCALE = { scale: 65536, growth_factor: 2, backoff_factor: 0.5, growth_interval: 2000, _growth_tracker: 0 };

/**
 * Networks and moments of a checkpoint of the reference code. Sizes are those of its tensors.
 * @param path for messages
 * @param tree what `readTorchFile` gives
 * @param heads of the encoder, which no tensor shows; null: those of the named architecture of its width
 * @throws UserError if it is none, if its tensors are not those of one model, or its heads are not known
 */
export async function metaCheckpoint(
  path: string,
  tree: TorchTree,
  heads: number | null = null,
): Promise<MetaCheckpoint> {
  const saved = isDictionary(tree) ? tree : new Map();
  const found = byNetwork((name) => networkOf(path, name, saved.get(name)));
  const sizes = inferSizes(path, found, heads);
  const shapes = metaShapes(sizes);
  for (const name of NETWORKS) {
    requireShapes(path, name, found[name], shapes[name]);
    await requirePositions(path, name, found[name], gridSize(sizes));
    found[name].delete(POSITIONS[name]);
  }
  const epoch: unknown = saved.get('epoch');
  const moments = await readMoments(path, saved.get('opt'), shapes);
  return { sizes, epoch: Number.isSafeInteger(epoch) ? Number(epoch) : 0, networks: found, moments };
}

/**
 * What the reference code's `load_checkpoint` takes, to be written by `writeTorchFile`.
 * @throws UserError if the networks are not those of its model
 */
export function metaTree({ sizes, epoch, networks, moments }: MetaCheckpoint): TorchTree {
  if (sizes.encoder.heads !== sizes.predictor.heads) {
    throw notMeta('the model', `its encoder has ${sizes.encoder.heads} heads, its predictor ${sizes.predictor.heads}`);
  }
  const shapes = metaShapes(sizes);
  const trees = NETWORKS.map((name): [string, TorchTree] => {
    const shape = shapes[name][POSITIONS[name]];
    const positions = tensorOf(shape, sincosTable(gridSize(sizes), shape[2]));
    const tensors = new Map([...networks[name], [POSITIONS[name], positions]]);
    requireShapes('the model', name, tensors, shapes[name]);
    const ordered = Object.keys(shapes[name]).flatMap((each): [string, TorchTree][] => {
      const tensor = tensors.get(each);
      return tensor ? [[WRAPPED + each, tensor]] : [];
    });
    return [name, new Map(ordered)];
  });
  return new Map<string, TorchTree>([
    ...trees,
    ['opt', optimiserTree(moments, shapes)],
    ['scaler', new Map(Object.entries(LOSS_SCALE))],
    ['epoch', epoch],
  ]);
}

/** Names and shapes in the reference code's order, positions among them. */
function metaShapes(sizes: MetaCheckpoint['sizes']): Record<NetworkName, ParameterShapes> {
  const patches = gridSize(sizes) ** 2;
  const { dim } = sizes.encoder;
  const encoder = { pos_embed: [1, patches, dim], ...encoderShapes(sizes) };
  const { mask_token, ...rest } = decoderShapes(dim, sizes.predictor, dim);
  const predictor = { mask_token, predictor_pos_embed: [1, patches, sizes.predictor.dim], ...rest };
  return { encoder, predictor, target_encoder: encoder };
}

function byNetwork<T>(make: (name: NetworkName) => T): Record<NetworkName, T> {
  return { encoder: make('encoder'), predictor: make('predictor'), target_encoder: make('target_encoder') };
}

function networkOf(path: string, name: string, tree: TorchTree | undefined): Map<string, TorchTensor> {
  if (!isDictionary(tree)) throw notMeta(path, `it has no ${name}`);
  const tensors = new Map<string, TorchTensor>();
  for (const [key, tensor] of tree) {
    if (!isTensor(tensor)) throw notMeta(path, `in its ${name}, ${key} is no tensor`);
    tensors.set(String(key).replace(WRAPPED, ''), tensor);
  }
  return tensors;
}

function inferSizes(
  path: string,
  { encoder, predictor }: Record<NetworkName, ReadonlyMap<string, TorchTensor>>,
  heads: number | null,
): MetaCheckpoint['sizes'] {
  const size = inferSize(path, encoder, heads === null ? {} : { heads });
  const width = predictor.get('mask_token')?.shape[2];
  const hidden = predictor.get('predictor_blocks.0.mlp.fc1.bias')?.shape[0];
  if (!width || !hidden || width % size.encoder.heads !== 0) {
    throw notMeta(path, 'its predictor has no mask_token [1, 1, E], or its heads do not divide the width E');
  }
  const blocks = [...predictor.keys()].filter((name) => /^predictor_blocks\.\d+\.norm1\.weight$/.test(name));
  // The reference code gives its predictor as many heads as its encoder.
  const shared = { dim: width, depth: blocks.length, heads: size.encoder.heads };
  return { ...size, predictor: { ...shared, mlpRatio: ratioOf(hidden, width) } };
}

/** Holds a network against the names and shapes of its sizes. */
function requireShapes(
  path: string,
  network: string,
  tensors: ReadonlyMap<string, TorchTensor>,
  shapes: ParameterShapes,
): void {
  for (const [name, shape] of Object.entries(shapes)) {
    const found = tensors.get(name);
    if (found?.type === 'float32' && found.shape.join() === shape.join()) continue;
    throw notMeta(
      path,
      `${network}.${name} is ${found ? `${found.type} [${found.shape}]` : 'not there'} instead of float32 [${shape}]`,
    );
  }
  const extra = [...tensors.keys()].find((name) => !Object.hasOwn(shapes, name));
  if (extra !== undefined) throw notMeta(path, `there is no place for ${network}.${extra}`);
}

/** Positions are computed here; what is stored has to be the same. */
async function requirePositions(
  path: string,
  network: NetworkName,
  tensors: ReadonlyMap<string, TorchTensor>,
  grid: number,
): Promise<void> {
  const stored = tensors.get(POSITIONS[network]);
  const values = await stored?.read();
  const fixed = sincosTable(grid, stored?.shape[2] ?? 0);
  if (fixed.every((x, i) => Math.abs(x - Number(values?.[i])) < 1e-4)) return;
  throw notMeta(path, `${network}.${POSITIONS[network]} are not the sine-cosine positions of its size`);
}

function notMeta(path: string, reason: string): UserError {
  return new UserError(`${path} is not a checkpoint of the reference code of I-JEPA: ${reason}`, {
    expected: 'encoder, predictor and target_encoder, as facebookresearch/ijepa saves them',
    remedy: 'name a checkpoint of its training',
  });
}
