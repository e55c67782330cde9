/** Sizes of a vision transformer. */
export interface VitSize {
  /** Width D of a token. */
  dim: number;
  /** Number of blocks. */
  depth: number;
  /** Attention heads h; D is a multiple of h. */
  heads: number;
  /** Width of a block's hidden layer, in units of D. */
  mlpRatio: number;
  /** Whether a learned token that belongs to no patch goes before all others (Dosovitskiy et al. 2021). */
  classToken?: boolean;
  /** Whether that token, and not the mean of the patches, is what it makes of an image (Caron et al. 2021). */
  classFeatures?: boolean;
  /** Whether learned vectors scale both branches of every block (Touvron et al. 2021, LayerScale). */
  layerScale?: boolean;
  /** Whether positions are learned biases of attention, the same in all blocks, instead of vectors added to patches. */
  relativePositions?: boolean;
  /** Added to variances in LayerNorm; default: 1e-6, the reference's. */
  normEpsilon?: number;
}

/** Sizes of a residual network of bottleneck blocks (He et al. 2016). */
export interface ResNetSize {
  /** Channels of its last feature map, D, which are its features. */
  dim: number;
  /** Blocks of each stage; every stage halves the side of feature maps and doubles their channels. */
  depths: readonly number[];
  /** Channels of its first layer, and of the inner layers of the first stage. */
  width: number;
  /** Whether it has selective kernels, and the first layers and shortcuts of ResNet-D, as the networks of SimCLR v2. */
  selectiveKernels?: boolean;
}

/** Sizes of an encoder of images. */
export type EncoderSize = VitSize | ResNetSize;

export function isResNet(size: EncoderSize): size is ResNetSize {
  return 'depths' in size;
}

/**
 * Blocks of each stage of the named residual networks (He et al. 2016, table 1; the one of 200 layers: He et al. 2016, Identity
 * Mappings in Deep Residual Networks); the one of 14 layers is for small data.
 */
export const RESNETS = {
  resnet14: [1, 1, 1, 1],
  resnet50: [3, 4, 6, 3],
  resnet101: [3, 4, 23, 3],
  resnet152: [3, 8, 36, 3],
  resnet200: [3, 24, 36, 3],
} as const;

/** Channels of their first layer. */
export const RESNET_CHANNELS = 64;

/** What an encoder may be; the first is the usual one. */
export const BACKBONE_NAMES = ['vit', ...(Object.keys(RESNETS) as (keyof typeof RESNETS)[])] as const;

/** The named encoders (Dosovitskiy et al. 2021, table 1; Zhai et al. 2022 for giant) with the predictor that goes with each. */
export const ARCHITECTURES = {
  'vit-tiny': { dim: 192, depth: 12, heads: 3, mlpRatio: 4, predictorDim: 96, predictorDepth: 4 },
  'vit-small': { dim: 384, depth: 12, heads: 6, mlpRatio: 4, predictorDim: 192, predictorDepth: 6 },
  'vit-base': { dim: 768, depth: 12, heads: 12, mlpRatio: 4, predictorDim: 384, predictorDepth: 6 },
  'vit-large': { dim: 1024, depth: 24, heads: 16, mlpRatio: 4, predictorDim: 384, predictorDepth: 12 },
  'vit-huge': { dim: 1280, depth: 32, heads: 16, mlpRatio: 4, predictorDim: 384, predictorDepth: 12 },
  'vit-giant': { dim: 1408, depth: 40, heads: 16, mlpRatio: 48 / 11, predictorDim: 384, predictorDepth: 16 },
} as const satisfies Record<string, VitSize & { predictorDim: number; predictorDepth: number }>;

export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as (keyof typeof ARCHITECTURES)[];

/** Most patches along a side: attention over more takes gigabytes a head. */
export const LARGEST_GRID = 128;

/** An image and the patches that it is cut into. */
export interface ImageShape {
  /** Side of a square image, in pixels. */
  readonly imageSize: number;
  /** Side of a square patch, in pixels; divides the image's. */
  readonly patchSize: number;
}

/** Side of the patch grid. */
export function gridSize(size: ImageShape): number {
  return size.imageSize / size.patchSize;
}

/** Width of a block's hidden layer. */
export function hiddenWidth(size: VitSize): number {
  return Math.floor(size.dim * size.mlpRatio);
}

/**
 * How weights start.
 * - `scaled`: truncated normal of standard deviation 0.02; the second layer of each residual branch of block i (from 1)
 *   is divided by √(2i).
 * - `reference`: the same without the division. The reference code divides, then initialises once more, which undoes it.
 */
export const INITIALISATIONS = ['scaled', 'reference'] as const;
export type Initialisation = (typeof INITIALISATIONS)[number];

/** How the paper calls them: 'ViT-S'. */
const LETTERS = {
  'vit-tiny': 'Ti',
  'vit-small': 'S',
  'vit-base': 'B',
  'vit-large': 'L',
  'vit-huge': 'H',
  'vit-giant': 'G',
};

/** 'ViT-S/16', or 'ViT 96x4/8' for sizes without a name; 'RN50', 'RN50 (2x)', 'RN50 (2x+SK)', as papers' tables have them. */
export function encoderName(size: EncoderSize, patchSize: number): string {
  if (isResNet(size)) return resNetName(size);
  const numbers = ({ dim, depth, heads, mlpRatio }: VitSize) => [dim, depth, heads, mlpRatio].join();
  const known = ARCHITECTURE_NAMES.find((name) => numbers(ARCHITECTURES[name]) === numbers(size));
  return `ViT${known ? `-${LETTERS[known]}` : ` ${size.dim}x${size.depth}`}/${patchSize}`;
}

/** By its layers with weights: three of each block, the first one, and a classifier, which counts as well. */
function resNetName({ depths, width, selectiveKernels }: ResNetSize): string {
  const layers = 3 * depths.reduce((sum, depth) => sum + depth, 0) + 2;
  const factor = width === RESNET_CHANNELS ? [] : [`${width / RESNET_CHANNELS}x`];
  const parts = [...factor, ...(selectiveKernels ? ['SK'] : [])];
  return `RN${layers}${parts.length > 0 ? ` (${parts.join('+')})` : ''}`;
}
