import { convolution, maxPool } from '../engine/image-functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { windowsAlong } from '../engine/windows.js';
import { batchNormShapes, normaliseBatch } from './batch-norm.js';
import { type ParameterShapes, type Parameters, parameter } from './parameters.js';
import { pooledShortcut, select, selectionKernels } from './selective-kernels.js';
import type { ResNetSize } from './sizes.js';

/*
 * Residual networks of bottleneck blocks (He et al. 2016, section 3.4 and table 1), as torchvision has them: the stride is in
 * the convolution of 3 x 3 pixels, and parameters have its names. A factor of the width is one of all channels, as in SimCLR
 * and BYOL. With selective kernels they are those of SimCLR v2, with first layers and shortcuts of ResNet-D; the first layers have
 * timm's names.
 *
 * Letters: B images, S their side, C channels, H and W height and width of a feature map, F channels of the stem.
 */

/** The output of a block is so many times as wide as its inner layers. */
const EXPANSION = 4;

/** A convolution with kernels [O, C, k, k] and a border of ⌊k / 2⌋, and the batch norm after it; null for none. */
interface Layer {
  readonly name: string;
  readonly norm: string | null;
  readonly shape: readonly [number, number, number, number];
  readonly stride: number;
}

interface Block {
  readonly stride: number;
  readonly first: Layer;
  readonly second: Layer;
  /** What chooses between the two streams that the second layer gives; null where it gives one. */
  readonly selection: { readonly name: string; readonly layers: readonly Layer[] } | null;
  readonly third: Layer;
  /** What brings a block's input to the shape of its output; null where it has that. */
  readonly shortcut: Layer | null;
}

/** The layers before the first block: one of 7 x 7 pixels, or three of 3 x 3. */
function stemOf({ width, selectiveKernels }: ResNetSize): Layer[] {
  if (!selectiveKernels) return [{ name: 'conv1', norm: 'bn1', shape: [width, 3, 7, 7], stride: 2 }];
  const half = width / 2;
  return [
    { name: 'conv1.0', norm: 'conv1.1', shape: [half, 3, 3, 3], stride: 2 },
    { name: 'conv1.3', norm: 'conv1.4', shape: [half, half, 3, 3], stride: 1 },
    { name: 'conv1.6', norm: 'bn1', shape: [width, half, 3, 3], stride: 1 },
  ];
}

function blocksOf({ width, depths, selectiveKernels = false }: ResNetSize): Block[] {
  let inputs = width;
  return depths.flatMap((depth, stage) =>
    Array.from({ length: depth }, (_, at): Block => {
      const name = `layer${stage + 1}.${at}`;
      const inner = width * 2 ** stage;
      const outputs = EXPANSION * inner;
      const stride = stage > 0 && at === 0 ? 2 : 1;
      const layer = (own: string, norm: string | null, shape: Layer['shape'], ownStride = 1): Layer => ({
        name: `${name}.${own}`,
        norm: norm && `${name}.${norm}`,
        shape,
        stride: ownStride,
      });
      const kernels = selectionKernels(inner);
      const choice = [layer('select.conv1', 'select.bn1', kernels.conv1), layer('select.conv2', null, kernels.conv2)];
      // Shortcuts of ResNet-D are pooled first.
      const shortcut = layer('downsample.0', 'downsample.1', [outputs, inputs, 1, 1], selectiveKernels ? 1 : stride);
      const block = {
        stride,
        first: layer('conv1', 'bn1', [inner, inputs, 1, 1]),
        second: layer('conv2', 'bn2', [selectiveKernels ? 2 * inner : inner, inner, 3, 3], stride),
        selection: selectiveKernels ? { name: `${name}.select`, layers: choice } : null,
        third: layer('conv3', 'bn3', [outputs, inner, 1, 1]),
        shortcut: inputs !== outputs || stride !== 1 ? shortcut : null,
      };
      inputs = outputs;
      return block;
    }),
  );
}

/** All layers of a block, in the order in which parameters are stored. */
function layersOf({ first, second, selection, third, shortcut }: Block): Layer[] {
  return [first, second, ...(selection?.layers ?? []), third, ...(shortcut ? [shortcut] : [])];
}

/** Sizes of a network of so many blocks in each stage. @param width F */
export function resNetSize(depths: readonly number[], width: number, selectiveKernels = false): ResNetSize {
  const dim = EXPANSION * width * 2 ** (depths.length - 1);
  return { dim, depths, width, ...(selectiveKernels && { selectiveKernels }) };
}

export function resNetShapes(size: ResNetSize): ParameterShapes {
  const layers = [...stemOf(size), ...blocksOf(size).flatMap(layersOf)];
  const shapes = layers.map(({ name, norm, shape }) => ({
    [`${name}.weight`]: shape,
    ...(norm && batchNormShapes(norm, shape[0])),
  }));
  return Object.assign({}, ...shapes);
}

/** Every convolution for images of a side: its shape [O, C, k, k], and the side of what it gives. */
export function resNetConvolutions(size: ResNetSize, imageSize: number) {
  const halved = (side: number) => windowsAlong(side, { side: 3, stride: 2, padding: 1 });
  const at = (side: number) => (layer: Layer) => ({ shape: layer.shape, side });
  const stem = halved(imageSize);
  let side = halved(stem);
  const blocks = blocksOf(size).flatMap((block) => {
    const before = side;
    if (block.stride === 2) side = halved(side);
    const { first, selection, ...others } = block;
    const [own, ofImage] = [layersOf({ ...others, first, selection: null }).slice(1), selection?.layers ?? []];
    return [at(before)(first), ...own.map(at(side)), ...ofImage.map(at(1))];
  });
  return [...stemOf(size).map(at(stem)), ...blocks];
}

/**
 * The last feature map, averaged over its places: images [B, S, S, 3] -> [B, D]
 */
export function resNetFeatures(size: ResNetSize, parameters: Parameters, images: Tensor): Tensor {
  const apply = ({ name, norm, shape, stride }: Layer, x: Tensor) => {
    const padding = Math.floor(shape[2] / 2);
    const y = convolution(x, parameter(parameters, `${name}.weight`), { stride, padding });
    return norm ? normaliseBatch(parameters, norm, y) : y;
  };
  return tf.tidy(() => {
    const channels: Tensor = images.transpose([3, 0, 1, 2]); // [3, B, S, S]
    const stem = stemOf(size).reduce((x, layer) => tf.relu(apply(layer, x)), channels); // [F, B, S / 2, S / 2]
    let x = maxPool(stem, { side: 3, stride: 2, padding: 1 }); // [F, B, S / 4, S / 4]
    for (const { stride, first, second, selection, third, shortcut } of blocksOf(size)) {
      const y = tf.tidy(() => {
        const inner = tf.relu(apply(second, tf.relu(apply(first, x)))); // [C / 4 or C / 2, B, H, W]
        const branch = apply(third, selection ? select(parameters, selection.name, inner) : inner); // [C, B, H, W]
        const seen = shortcut && selection ? pooledShortcut(x, stride) : x;
        return tf.relu(branch.add(shortcut ? apply(shortcut, seen) : x));
      });
      x.dispose();
      x = y;
    }
    return x.mean([2, 3]).transpose(); // [B, D]
  });
}
