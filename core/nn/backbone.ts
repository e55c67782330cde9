import { tileBatch } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { encoderShapes, type ParameterShapes, type Parameters, parameter, RELATIVE_TABLE } from './parameters.js';
import { axisDifferences, interpolatePositions, relativeBias, sincosTable } from './positions.js';
import { type EncoderSize, gridSize, hiddenWidth, type ImageShape, type VitSize } from './sizes.js';
import { keepPositions, keepTokens, type MaskTensors } from './tokens.js';
import { classTokens, embedPatches, norm, patchify, tokensFrom, transformerBlocks } from './vit.js';

/**
 * What every encoder of images is, a vision transformer or a residual network: what makes features of whole images. It has no
 * weights; every function takes those it needs.
 *
 * Letters: B images, S their side, D features, L layers.
 */
export interface ImageEncoder extends ImageShape {
  readonly encoder: EncoderSize;
  readonly shapes: ParameterShapes;
  /**
   * Features of an image: images [B, S, S, 3] -> [B, L D]; the last D columns are those of the last layer. Residual networks
   * have one layer alone, L = 1: the last feature map, averaged over its places.
   * @param branches as in `BlockOptions`, of vision transformers
   */
  features(parameters: Parameters, images: Tensor, layers: number, branches?: Tensor): Tensor;
  /** The same for images of another size, with the same weights; to be disposed of by itself. */
  atSize(imageSize: number): ImageEncoder;
  dispose(): void;
}

/**
 * A vision transformer: sizes and fixed positions.
 *
 * Letters: B images, S their side, N patches, D width. Tokens are the patches, row by row over the grid, after the class
 * token where there is one: N' = N or 1 + N.
 */
export interface Backbone extends ImageEncoder {
  readonly encoder: VitSize;
  /** Patches of an image, N. */
  readonly patchCount: number;
  readonly shapes: ParameterShapes;
  /**
   * Representations of images [B, S, S, 3], after the last LayerNorm: [B, N', D], or, of the patches that a mask keeps,
   * [M B, K', D].
   */
  forward(parameters: Parameters, images: Tensor, options?: ForwardOptions): Tensor;
  /** Outputs of the last `count` blocks before the last LayerNorm, in their order: images -> `count` times [B, N', D]. */
  blockOutputs(parameters: Parameters, images: Tensor, count: number): Tensor[];
  /**
   * Features of the last L = `layers` blocks side by side: each block's output through the last LayerNorm, then the mean
   * over patches, without the class token, or that token alone where the encoder has `classFeatures`: images -> [B, L D].
   * The last D columns are those of the last block.
   */
  features(parameters: Parameters, images: Tensor, layers: number, branches?: Tensor): Tensor;
}

/** What an encoder sees in the place of all patches, and what branches of its blocks are dropped. */
export type ForwardOptions =
  /** Some patches: the others are left out before they are embedded. */
  | { keep?: MaskTensors; replace?: never; branches?: never }
  /**
   * All patches, some of them as a learned vector instead of what is embedded of them; `branches` as in `BlockOptions`.
   */
  | { keep?: never; replace?: Replacement | undefined; branches?: Tensor | undefined };

export interface Replacement {
  /** [1, 1, D] */
  by: Tensor;
  /** 1 for the patches that are replaced, 0 for the others: [B, N, 1]. */
  where: Tensor;
}

/** Sizes of a vision transformer and of its images. */
export interface VitShape extends ImageShape {
  readonly encoder: VitSize;
  /** Side of the images that the weights were trained on, where it is another one: positions are interpolated. */
  readonly trainedImageSize?: number;
  /** Positions at that size, [N, D]; default: the sine-cosine ones. */
  readonly positions?: Float32Array | null;
}

/**
 * A vision transformer (Dosovitskiy et al. 2021): patch embeddings, fixed positions (a class token's are zeros) or learned
 * relative ones, pre-norm blocks, LayerNorm.
 */
export function createVit(size: VitShape): Backbone {
  const { imageSize, patchSize, encoder, trainedImageSize = imageSize } = size;
  const { dim, classToken = false, classFeatures = false, relativePositions = false, normEpsilon } = encoder;
  const grid = gridSize(size);
  const patchCount = grid * grid;
  const trainedGrid = gridSize({ imageSize: trainedImageSize, patchSize });
  const differences = relativePositions ? axisDifferences(grid, trainedGrid) : null;
  const table = () => interpolatePositions(size.positions ?? sincosTable(trainedGrid, dim), trainedGrid, grid);
  const positions = relativePositions ? null : tf.tensor2d(table(), [patchCount, dim]); // [N, D]

  /** Embedded patches with a class token before them: [B, N, D] -> [B, N', D]. */
  function withClassToken(parameters: Parameters, patches: Tensor): Tensor {
    if (!classToken) return patches;
    const first = tf.zeros([patches.shape[0], 1, dim]).add(parameter(parameters, 'cls_token'));
    return tf.concat([first, patches], 1);
  }

  /** Whole images through the blocks; `finish` makes what is wanted of the outputs of the last ones. */
  function encode(
    parameters: Parameters,
    images: Tensor,
    taps: number,
    finish: (outputs: Tensor[]) => Tensor[],
    { replace, branches }: Pick<ForwardOptions, 'replace' | 'branches'> = {},
  ): Tensor[] {
    const bias = differences ? relativeBias(parameter(parameters, RELATIVE_TABLE), differences) : undefined; // [h, N', N']
    const ofImages = [images, replace?.where, branches].filter((tensor) => tensor !== undefined);
    return tileBatch(ofImages, patchCount * hiddenWidth(encoder), ([tile, ...others]) => {
      const [where, drops] = [replace && others[0], branches && others.at(-1)];
      const seen = embedPatches(parameters, patchify(tile, patchSize)); // [B, N, D]
      const patches = replace && where ? seen.mul(tf.sub(1, where)).add(replace.by.mul(where)) : seen;
      const tokens = withClassToken(parameters, positions ? patches.add(positions.expandDims(0)) : patches); // [B, N', D]
      return finish(transformerBlocks(parameters, 'blocks', encoder, tokens, { bias, branches: drops, taps }));
    });
  }

  return {
    imageSize,
    patchSize,
    encoder,
    patchCount,
    shapes: encoderShapes({ imageSize: trainedImageSize, patchSize, encoder }),
    forward(parameters, images, { keep, replace, branches } = {}) {
      const finish = (outputs: Tensor[]) => outputs.map((x) => norm(parameters, 'norm', x, normEpsilon));
      if (!keep) return encode(parameters, images, 1, finish, { replace, branches })[0];
      if (!positions) throw new Error('an encoder with relative positions sees all patches: none can be left out');
      const visible = keepTokens(patchify(images, patchSize), keep); // [M B, K, p p 3]
      const tokens = embedPatches(parameters, visible).add(keepPositions(positions, keep)); // [M B, K, D]
      return finish(transformerBlocks(parameters, 'blocks', encoder, withClassToken(parameters, tokens)))[0];
    },
    blockOutputs: (parameters, images, count) => encode(parameters, images, count, (outputs) => outputs),
    features(parameters, images, layers, branches) {
      const pool = (x: Tensor) =>
        tf.tidy(() => {
          const tokens = norm(parameters, 'norm', x, normEpsilon); // [B, N', D]
          return classFeatures ? classTokens(tokens) : tokensFrom(tokens, classToken ? 1 : 0).mean(1); // [B, D]
        });
      return encode(parameters, images, layers, (outputs) => [tf.concat(outputs.map(pool), 1)], { branches })[0];
    },
    atSize: (other) => createVit({ ...size, imageSize: other, trainedImageSize }),
    dispose: () => tf.dispose([positions, differences].filter((tensor) => tensor !== null)),
  };
}
