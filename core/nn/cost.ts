import { lengthOf } from './parameters.js';
import { resNetConvolutions } from './resnet.js';
import { type EncoderSize, hiddenWidth, type ImageShape, isResNet, type ResNetSize, type VitSize } from './sizes.js';

/** One network's part in a training step, for one image. */
export type Pass = TransformerPass | ResNetPass;

/** That of a transformer. */
export interface TransformerPass {
  readonly size: VitSize;
  /** Sequences an image, and tokens of each. */
  readonly rows: number;
  readonly tokens: number;
  /** First tokens that have no query in the last block. */
  readonly queryOffset?: number;
  /** Whether they have none in any block: no block changes them, the others attend to them all the same. */
  readonly isCross?: boolean;
  /** Whether gradients are taken. */
  readonly trained: boolean;
  /** Linear layers before and after the blocks: how many tokens go through each, its inputs and outputs. */
  readonly projections: readonly {
    readonly tokens: number;
    readonly inputs: number;
    readonly outputs: number;
    /** Whether the gradient by its inputs is not needed, as with pixels. */
    readonly ofConstants?: boolean;
    /** How many arrays of its outputs a step holds at once; default: none that count beside the blocks. */
    readonly held?: number;
  }[];
}

/** That of a residual network. */
export interface ResNetPass extends Pick<TransformerPass, 'rows' | 'trained' | 'projections'> {
  readonly size: ResNetSize;
  /** Side of the images, in pixels. */
  readonly imageSize: number;
}

/** An encoder of whole images. `rows`: views of an image. */
export function imagePass(
  { encoder, imageSize, patchSize }: ImageShape & { encoder: EncoderSize },
  { rows = 1, trained }: { rows?: number; trained: boolean },
): Pass {
  if (isResNet(encoder)) return { size: encoder, imageSize, rows, trained, projections: [] };
  return encoderPass(encoder, patchSize, { rows, patches: (imageSize / patchSize) ** 2, trained });
}

/** An encoder of images that sees some of their patches. `rows`: masks an image. */
export function encoderPass(
  size: VitSize,
  patchSize: number,
  { rows = 1, patches, trained }: { rows?: number; patches: number; trained: boolean },
): TransformerPass {
  const embedding = { tokens: rows * patches, inputs: 3 * patchSize ** 2, outputs: size.dim, ofConstants: true };
  return { size, rows, tokens: patches + (size.classToken ? 1 : 0), trained, projections: [embedding] };
}

/** A predictor or decoder (`predict`): `rows` sequences an image, of `contexts` contexts, give `outputs` numbers a patch. */
export function decoderPass(
  encoder: VitSize,
  size: VitSize,
  tokens: { rows?: number; contexts?: number; visible: number; masked: number; outputs: number },
): TransformerPass {
  const { rows = 1, contexts = 1, visible, masked, outputs } = tokens;
  const seen = visible + (encoder.classToken ? 1 : 0);
  return {
    size,
    rows,
    tokens: seen + masked,
    queryOffset: seen,
    trained: true,
    projections: [
      { tokens: contexts * seen, inputs: encoder.dim, outputs: size.dim },
      { tokens: rows * masked, inputs: size.dim, outputs },
    ],
  };
}

/** A regressor (`regress`): the masked patches of an image attend to the visible ones and to themselves. */
export function regressorPass(size: VitSize, { visible, masked }: { visible: number; masked: number }): Pass {
  const tokens = visible + masked;
  return { size, rows: 1, tokens, queryOffset: visible, isCross: true, trained: true, projections: [] };
}

/**
 * Floating-point operations of a step's matrix products for one image. A product [a, b] [b, c] takes 2 a b c; gradients by
 * inputs and by weights take as many as the value each.
 */
export function stepOperations(passes: readonly Pass[]): number {
  return passes.reduce((sum, pass) => {
    const { rows, trained, projections } = pass;
    const times = trained ? 3 : 1;
    const ofRow = isOfResNet(pass) ? convolutionOperations(pass) : blockOperations(pass);
    return projections.reduce(
      (total, each) => total + 2 * each.tokens * each.inputs * each.outputs * (trained && each.ofConstants ? 2 : times),
      sum + times * rows * ofRow,
    );
  }, 0);
}

export function isOfResNet(pass: Pass): pass is ResNetPass {
  return isResNet(pass.size);
}

/** A convolution is a product of [O, k k C] and [k k C, H' W']. */
function convolutionOperations({ size, imageSize }: ResNetPass): number {
  const each = resNetConvolutions(size, imageSize).map(({ shape, side }) => 2 * side ** 2 * lengthOf(shape));
  return each.reduce((sum, operations) => sum + operations, 0);
}

function blockOperations({ size, tokens, queryOffset = 0, isCross = false }: TransformerPass): number {
  const { dim, depth } = size;
  const product = 2 * dim * dim; // of a token by a square matrix
  const attention = 2 * (2 * tokens * dim); // of a token: its query by all keys, its weights by all values
  const ofToken = attention + product + 2 * (2 * dim * hiddenWidth(size));
  if (isCross) return depth * (2 * tokens * product + (tokens - queryOffset) * (product + ofToken));
  return depth * tokens * (3 * product + ofToken) - queryOffset * ofToken;
}
