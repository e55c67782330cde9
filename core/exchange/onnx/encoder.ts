import { RELATIVE_TABLE } from '../../nn/parameters.js';
import { sincosTable } from '../../nn/positions.js';
import { gridSize, type VitSize } from '../../nn/sizes.js';
import type { EncoderFile } from '../encoder-file.js';
import { attentionBias } from './attention-bias.js';
import { ModelGraph, type ModelPort } from './graph.js';
import { type Layers, layersOf, type OnnxPrecision } from './layers.js';

/** An encoder that is to be exported. */
export type ExportedEncoder = Pick<EncoderFile, 'size' | 'tensors' | 'positions'>;

/** A linear classifier of C classes on the mean over an encoder's patches: weight [C, D], bias [C]. */
export interface Classifier {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** A graph with its input and its output. */
export interface PortedGraph {
  readonly graph: ModelGraph;
  readonly input: ModelPort;
  readonly output: ModelPort;
}

/**
 * An encoder as a graph: pixel_values [B, 3, S, S] -> last_hidden_state [B, N', D], after the last LayerNorm; with a
 * classifier logits [B, C] instead.
 *
 * Letters: B images, S their side, p that of a patch, N patches, N' = N, or 1 + N after a class token, D width, h heads,
 * d = D / h, F hidden width, C classes.
 */
export function encoderGraph(
  encoder: ExportedEncoder,
  precision: OnnxPrecision,
  classifier: Classifier | null,
): PortedGraph {
  const { imageSize, encoder: size } = encoder.size;
  const graph = new ModelGraph();
  const layers = layersOf(graph, encoder.tensors, precision, size.normEpsilon);
  const input = { name: 'pixel_values', shape: ['batch_size', 3, imageSize, imageSize] };
  const bias = recordBias(graph, encoder);
  let x = embedPatches(graph, layers, encoder, input.name); // [B, N', D]
  for (let index = 0; index < size.depth; index++) {
    const block = `blocks.${index}`;
    const scaled = (name: string, branch: string) =>
      size.layerScale ? graph.add('Mul', [branch, layers.weight(`${block}.${name}`)]) : branch;
    x = graph.add('Add', [x, scaled('gamma_1', attention(graph, layers, size, block, x, bias))]);
    x = graph.add('Add', [x, scaled('gamma_2', mlp(graph, layers, block, x))]);
  }
  const tokens = gridSize(encoder.size) ** 2 + (size.classToken ? 1 : 0);
  if (classifier === null) {
    const name = layers.norm('norm', x, 'last_hidden_state');
    return { graph, input, output: { name, shape: ['batch_size', tokens, size.dim] } };
  }
  x = layers.norm('norm', x);
  const [from, to] = size.classFeatures ? [0, 1] : [1, tokens];
  if (size.classToken) x = graph.add('Slice', [x, ...[from, to, 1].map((number) => graph.whole([number]))]); // [B, N, D] or [B, 1, D]
  const name = classify(graph, x, classifier);
  return { graph, input, output: { name, shape: ['batch_size', classifier.bias.length] } };
}

/**
 * Patches by a strided convolution, with their positions, after the class token where there is one: [B, 3, S, S] ->
 * [B, N', D]. In float32 whatever the precision.
 */
function embedPatches(graph: ModelGraph, layers: Layers, encoder: ExportedEncoder, images: string): string {
  const { patchSize, encoder: size } = encoder.size;
  const { dim, classToken = false, relativePositions = false } = size;
  const [weight, bias] = ['patch_embed.proj.weight', 'patch_embed.proj.bias'].map(layers.weight);
  const sides = [patchSize, patchSize];
  const grid = graph.add('Conv', [images, weight, bias], { kernel_shape: sides, strides: sides }); // [B, D, S/p, S/p]
  const rows = graph.add('Reshape', [grid, graph.whole([0, dim, -1])]); // [B, D, N]
  const patches = graph.add('Transpose', [rows], { perm: [0, 2, 1] }); // [B, N, D]
  if (relativePositions && !classToken) return patches;

  // What is added to the tokens: positions, and the class token to a row of zeros before the patches.
  const side = gridSize(encoder.size);
  const first = classToken ? 1 : 0;
  const data = () => {
    const table = new Float32Array((first + side * side) * dim);
    table.set(encoder.tensors.get('cls_token')?.data ?? []);
    if (!relativePositions) table.set(encoder.positions ?? sincosTable(side, dim), first * dim);
    return table;
  };
  const table = graph.addWeight({ name: 'pos_embed', type: 'float32', shape: [1, first + side * side, dim], data });
  const tokens = classToken ? graph.add('Pad', [patches, graph.whole([0, 1, 0, 0, 0, 0])]) : patches; // [B, N', D]
  return graph.add('Add', [tokens, table]);
}

/** The biases of attention for relative positions, [h, N', N'], the same in all blocks; null where there are none. */
function recordBias(graph: ModelGraph, { size, tensors }: ExportedEncoder): string | null {
  const table = tensors.get(RELATIVE_TABLE)?.data;
  if (!table) return null;
  const { heads, classToken = false } = size.encoder;
  const side = gridSize(size);
  const tokens = side * side + (classToken ? 1 : 0);
  const data = () => attentionBias(table, heads, side, classToken);
  return graph.addWeight({ name: 'attention_bias', type: 'float32', shape: [heads, tokens, tokens], data });
}

/** softmax(Q Kᵀ / √d + b) V of every head, and the layer that joins them: [B, N', D] -> [B, N', D]. */
function attention(
  graph: ModelGraph,
  layers: Layers,
  { dim, heads }: VitSize,
  block: string,
  x: string,
  bias: string | null,
): string {
  const qkv = layers.linear(`${block}.attn.qkv`, layers.narrow(layers.norm(`${block}.norm1`, x))); // [B, N', 3D]
  const names = ['queries', 'keys', 'values'].map((part) => `${block}.attn.${part}`);
  const apart = graph.whole([0, 0, heads, dim / heads]);
  const [queries, keys, values] = graph
    .addAll('Split', [qkv], { axis: -1 }, names)
    .map((part) => graph.add('Reshape', [part, apart])); // [B, N', h, d]
  const byHead = (part: string) => graph.add('Transpose', [part], { perm: [0, 2, 1, 3] });
  const scaled = graph.add('Mul', [byHead(queries), layers.number((dim / heads) ** -0.5)]); // [B, h, N', d]
  const turned = graph.add('Transpose', [keys], { perm: [0, 2, 3, 1] }); // [B, h, d, N']
  const scores = layers.widen(graph.add('MatMul', [scaled, turned])); // [B, h, N', N']
  const biased = bias === null ? scores : graph.add('Add', [scores, bias]);
  const weights = layers.narrow(graph.add('Softmax', [biased], { axis: -1 }));
  const mixed = byHead(graph.add('MatMul', [weights, byHead(values)])); // [B, N', h, d]
  const joined = graph.add('Reshape', [mixed, graph.whole([0, 0, dim])]); // [B, N', D]
  return layers.widen(layers.linear(`${block}.attn.proj`, joined));
}

/** GELU(x W₁ᵀ + b₁) W₂ᵀ + b₂: [B, N', D] -> [B, N', D]. */
function mlp(graph: ModelGraph, layers: Layers, block: string, x: string): string {
  const hidden = layers.linear(`${block}.mlp.fc1`, layers.narrow(layers.norm(`${block}.norm2`, x))); // [B, N', F]
  // x (1 + erf(x / √2)) / 2, in the order in which ONNX Runtime finds a GELU.
  const erf = graph.add('Erf', [graph.add('Div', [hidden, layers.number(Math.SQRT2)])]);
  const doubled = graph.add('Mul', [hidden, graph.add('Add', [erf, layers.number(1)])]);
  const active = graph.add('Mul', [doubled, layers.number(0.5)]);
  return layers.widen(layers.linear(`${block}.mlp.fc2`, active));
}

/** The logits of the mean over patches: [B, N, D] -> [B, C]. */
function classify(graph: ModelGraph, patches: string, { weight, bias }: Classifier): string {
  const mean = graph.add('ReduceMean', [patches], { axes: [1], keepdims: 0 }); // [B, D]
  const shape = [bias.length, weight.length / bias.length];
  const inputs = [
    graph.addWeight({ name: 'classifier.weight', type: 'float32', shape, data: () => weight }),
    graph.addWeight({ name: 'classifier.bias', type: 'float32', shape: [bias.length], data: () => bias }),
  ];
  return graph.add('Gemm', [mean, ...inputs], { transB: 1 }, 'logits');
}
