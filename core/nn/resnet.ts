import { convolution, maxPool } from '../engine/image-functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { batchNormShapes, normaliseBatch } from './batch-norm.js';
import { type ParameterShapes, type Parameters, parameter } from './parameters.js';
import type { ResNetSize } from './sizes.js';

/*
 * Residual networks of bottleneck blocks (He et al. 2016, section 3.4 and table 1), as torchvision has them: the stride is in
 * the convolution of 3 x 3 pixels, and parameters have its names. A factor of the width is one of all channels, as in SimCLR
 * and BYOL.
 *
 * Letters: B images, S their side, C channels, H and W height and width of a feature map, F channels of the stem.
 */

/** The output of a block is so many times as wide as its inner layers. */
const EXPANSION = 4;

/** Where each block stands: its name, channels in, inside and out, and its stride. */
interface Block {
  readonly name: string;
  readonly inputs: number;
  readonly inner: number;
  readonly outputs: number;
  readonly stride: number;
}

function blocksOf({ width, depths }: Pick<ResNetSize, 'width' | 'depths'>): Block[] {
  let inputs = width;
  return depths.flatMap((depth, stage) =>
    Array.from({ length: depth }, (_, at) => {
      const inner = width * 2 ** stage;
      const stride = stage > 0 && at === 0 ? 2 : 1;
      const block = { name: `layer${stage + 1}.${at}`, inputs, inner, outputs: EXPANSION * inner, stride };
      inputs = block.outputs;
      return block;
    }),
  );
}

/** Whether a block's input has to be brought to the shape of its output. */
const isProjected = ({ inputs, outputs, stride }: Block) => inputs !== outputs || stride !== 1;

/** Sizes of a network of so many blocks in each stage. @param width F */
export function resNetSize(depths: readonly number[], width: number): ResNetSize {
  return { dim: EXPANSION * width * 2 ** (depths.length - 1), depths, width };
}

export function resNetShapes(size: ResNetSize): ParameterShapes {
  const layer = (convolution: string, norm: string, shape: readonly number[]): ParameterShapes => ({
    [`${convolution}.weight`]: shape,
    ...batchNormShapes(norm, shape[0]),
  });
  const blocks = blocksOf(size).map((block) => {
    const { name, inputs, inner, outputs } = block;
    return {
      ...layer(`${name}.conv1`, `${name}.bn1`, [inner, inputs, 1, 1]),
      ...layer(`${name}.conv2`, `${name}.bn2`, [inner, inner, 3, 3]),
      ...layer(`${name}.conv3`, `${name}.bn3`, [outputs, inner, 1, 1]),
      ...(isProjected(block) && layer(`${name}.downsample.0`, `${name}.downsample.1`, [outputs, inputs, 1, 1])),
    };
  });
  return Object.assign(layer('conv1', 'bn1', [size.width, 3, 7, 7]), ...blocks);
}

/** Every convolution for images of a side: its shape [O, C, k, k], and the side of what it gives. */
export function resNetConvolutions(size: ResNetSize, imageSize: number) {
  const shapes = resNetShapes(size);
  const halved = (side: number) => Math.floor((side - 1) / 2) + 1;
  const stem = halved(imageSize);
  let side = halved(stem);
  const of = (name: string, own: number) => ({ shape: shapes[`${name}.weight`] as readonly number[], side: own });
  const blocks = blocksOf(size).flatMap((block) => {
    const first = of(`${block.name}.conv1`, side);
    side = block.stride === 2 ? halved(side) : side;
    const others = ['conv2', 'conv3', ...(isProjected(block) ? ['downsample.0'] : [])];
    return [first, ...others.map((name) => of(`${block.name}.${name}`, side))];
  });
  return [of('conv1', stem), ...blocks];
}

/**
 * The last feature map, averaged over its places: images [B, S, S, 3] -> [B, D]
 */
export function resNetFeatures(size: ResNetSize, parameters: Parameters, images: Tensor): Tensor {
  const layer = (name: string, norm: string, x: Tensor, window = {}) =>
    normaliseBatch(parameters, norm, convolution(x, parameter(parameters, `${name}.weight`), window));
  return tf.tidy(() => {
    const channels = images.transpose([3, 0, 1, 2]); // [3, B, S, S]
    const stem = tf.relu(layer('conv1', 'bn1', channels, { stride: 2, padding: 3 })); // [F, B, S / 2, S / 2]
    let x = maxPool(stem, { side: 3, stride: 2, padding: 1 }); // [F, B, S / 4, S / 4]
    for (const block of blocksOf(size)) {
      const { name, stride } = block;
      const y = tf.tidy(() => {
        const first = tf.relu(layer(`${name}.conv1`, `${name}.bn1`, x)); // [C / 4, B, H, W]
        const second = tf.relu(layer(`${name}.conv2`, `${name}.bn2`, first, { stride, padding: 1 }));
        const branch = layer(`${name}.conv3`, `${name}.bn3`, second); // [C, B, H, W]
        const own = isProjected(block) ? layer(`${name}.downsample.0`, `${name}.downsample.1`, x, { stride }) : x;
        return tf.relu(branch.add(own));
      });
      x.dispose();
      x = y;
    }
    return x.mean([2, 3]).transpose(); // [B, D]
  });
}
