import { hiddenWidth, type VitSize } from './sizes.js';

/** One network's part in a training step, for one image. */
export interface Pass {
  readonly size: VitSize;
  /** Sequences an image, and tokens of each. */
  readonly rows: number;
  readonly tokens: number;
  /** First tokens that have no query in the last block. */
  readonly queryOffset?: number;
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

/** An encoder of images that sees some of their patches. `rows`: masks an image. */
export function encoderPass(
  size: VitSize,
  patchSize: number,
  { rows = 1, patches, trained }: { rows?: number; patches: number; trained: boolean },
): Pass {
  const embedding = { tokens: rows * patches, inputs: 3 * patchSize ** 2, outputs: size.dim, ofConstants: true };
  return { size, rows, tokens: patches + (size.classToken ? 1 : 0), trained, projections: [embedding] };
}

/** A predictor or decoder (`predict`): `rows` sequences an image, of `contexts` contexts, give `outputs` numbers a patch. */
export function decoderPass(
  encoder: VitSize,
  size: VitSize,
  tokens: { rows?: number; contexts?: number; visible: number; masked: number; outputs: number },
): Pass {
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

/**
 * Floating-point operations of a step's matrix products for one image. A product [a, b] [b, c] takes 2 a b c; gradients by
 * inputs and by weights take as many as the value each.
 */
export function stepOperations(passes: readonly Pass[]): number {
  return passes.reduce((sum, { size, rows, tokens, queryOffset, trained, projections }) => {
    const times = trained ? 3 : 1;
    return projections.reduce(
      (total, each) => total + 2 * each.tokens * each.inputs * each.outputs * (trained && each.ofConstants ? 2 : times),
      sum + times * rows * blockOperations(size, tokens, queryOffset),
    );
  }, 0);
}

function blockOperations(size: VitSize, tokens: number, queryOffset = 0): number {
  const { dim, depth } = size;
  const queriesKeysValues = 2 * tokens * dim * 3 * dim;
  const attention = 2 * (2 * tokens * dim); // of a token: its query by all keys, its weights by all values
  const projectionAndMlp = 2 * dim * dim + 2 * (2 * dim * hiddenWidth(size));
  const ofToken = attention + projectionAndMlp;
  return depth * (queriesKeysValues + tokens * ofToken) - queryOffset * ofToken;
}
