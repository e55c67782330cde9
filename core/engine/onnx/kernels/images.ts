import type { ImageFunctions } from '../../image-functions.js';
import { type Tensor, tf } from '../../tf.js';
import { type Window, windowsAlong } from '../../windows.js';
import type { KernelTable } from '../backend.js';
import { axesConstant, record, type Value } from '../graph.js';
import { transpose } from './shape.js';

/*
 * Kernels of these engines' own for images, which lie channel by channel, [C, B, H, W]; the runtimes' operators want
 * [B, C, H, W].
 *
 * Letters: B images, C channels, H and W their height and width, O output channels, k side of a kernel.
 */

const SWAPPED = [1, 0, 2, 3];

/** How ONNX calls a window. */
const attributesOf = ({ side, stride, padding }: Window) => ({
  kernel_shape: [side, side],
  strides: [stride, stride],
  pads: [padding, padding, padding, padding],
});

/** A kernel whose shape is part of the graph's structure: OpenVINO takes no other ones. */
function ofFixedShape(weight: Value): Value {
  return record('Reshape', [weight, axesConstant(weight.shape)], weight.shape);
}

function convolution(x: Value, weight: Value, window: Window): Value {
  const [, images, height, width] = x.shape as [number, number, number, number];
  const shape = [images, weight.shape[0] as number, windowsAlong(height, window), windowsAlong(width, window)];
  const inputs = [transpose(x, SWAPPED), ofFixedShape(weight)];
  return transpose(record('Conv', inputs, shape, 'float32', attributesOf(window)), SWAPPED);
}

function inputGradient(dy: Value, weight: Value, window: Window, sides: readonly number[]): Value {
  if (window.stride === 1)
    return convolution(dy, turned(weight), { ...window, padding: window.side - 1 - window.padding });
  const shape = [dy.shape[1] as number, weight.shape[1] as number, ...sides];
  const { side, stride, padding } = window;
  // Rows and columns at the end that no window reaches.
  const output_padding = sides.map(
    (length) => length + 2 * padding - side - stride * (windowsAlong(length, window) - 1),
  );
  const attributes = { ...attributesOf(window), output_padding };
  return transpose(
    record('ConvTranspose', [transpose(dy, SWAPPED), ofFixedShape(weight)], shape, 'float32', attributes),
    SWAPPED,
  );
}

/** The kernel of the gradient by what a kernel of stride 1 sees: [O, C, k, k] -> [C, O, k, k], turned by 180 degrees. */
function turned(weight: Value): Value {
  const [start, end, step] = [-1, -1e9, -1].map((place) => axesConstant([place, place]));
  const inputs = [weight, start, end, axesConstant([2, 3]), step] as Value[];
  return transpose(record('Slice', inputs, weight.shape), SWAPPED);
}

function maxPool(x: Value, window: Window): Value {
  const [channels, images, height, width] = x.shape as [number, number, number, number];
  const shape = [channels, images, windowsAlong(height, window), windowsAlong(width, window)];
  return record('MaxPool', [x], shape, 'float32', attributesOf(window));
}

export const IMAGES: KernelTable = {
  Convolution: ({ x, weight }, { window }) => convolution(x, weight, window),
  ConvolutionInputGradient: ({ dy, weight }, { window, sides }) => inputGradient(dy, weight, window, sides),
  MaxPooling: ({ x }, { window }) => maxPool(x, window),
};

const run = (kernel: string, inputs: Readonly<Record<string, Tensor>>, attributes: object) =>
  tf.engine().runKernel(kernel, inputs, { ...attributes }) as Tensor;

/** The functions of images by these kernels. */
export const IMAGE_FUNCTIONS: ImageFunctions = {
  convolution: (x, weight, window) => run('Convolution', { x, weight }, { window }),
  convolutionInputGradient: (dy, weight, window, sides) =>
    run('ConvolutionInputGradient', { dy, weight }, { window, sides }),
  maxPool: (x, window) => run('MaxPooling', { x }, { window }),
};
