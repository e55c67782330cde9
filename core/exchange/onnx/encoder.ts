import { gridSize, type ImageShape, type VitSize } from '../../nn/sizes.js';
import { ModelGraph, type ModelPort } from './graph.js';
import { type Layers, layersOf, type NamedWeights, type OnnxPrecision } from './layers.js';

/** An encoder that is to be exported. */
export interface ExportedEncoder {
  readonly size: ImageShape & { readonly encoder: VitSize };
  /** By the reference code's names, `pos_embed` [1, N, D] among them. */
  readonly tensors: NamedWeights;
}

/** A linear classifier of C classes on the mean of an encoder's tokens: weight [C, D], bias [C]. */
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

const EPSILON = 1e-6;

/**
 * An encoder as a graph: pixel_values [B, 3, S, S] -> last_hidden_state [B, N, D], after the last LayerNorm; with a
 * classifier logits [B, C] instead.
 *
 * Letters: B images, S their side, N patches, D width, h heads, d = D / h, F hidden width, C classes.
 */
export function encoderGraph(
  { size, tensors }: ExportedEncoder,
  precision: OnnxPrecision,
  classifier: Classifier | null,
): PortedGraph {
  const { imageSize, encoder } = size;
  const graph = new ModelGraph();
  const layers = layersOf(graph, tensors, precision);
  const input = { name: 'pixel_values', shape: ['batch_size', 3, imageSize, imageSize] };
  let x = embedPatches(graph, layers, size, input.name); // [B, N, D]
  for (let index = 0; index < encoder.depth; index++) {
    x = graph.add('Add', [x, attention(graph, layers, encoder, `blocks.${index}`, x)]);
    x = graph.add('Add', [x, mlp(graph, layers, `blocks.${index}`, x)]);
  }
  if (classifier === null) {
    const name = layers.norm('norm', x, EPSILON, 'last_hidden_state');
    return { graph, input, output: { name, shape: ['batch_size', gridSize(size) ** 2, encoder.dim] } };
  }
  const mean = graph.add('ReduceMean', [layers.norm('norm', x, EPSILON)], { axes: [1], keepdims: 0 }); // [B, D]
  const name = classify(graph, mean, classifier, encoder.dim);
  return { graph, input, output: { name, shape: ['batch_size', classifier.bias.length] } };
}

/** Patches by a strided convolution, with their positions: [B, 3, S, S] -> [B, N, D]. In float32 whatever the precision. */
function embedPatches(
  graph: ModelGraph,
  layers: Layers,
  { encoder, patchSize }: ExportedEncoder['size'],
  images: string,
) {
  const [weight, bias] = ['patch_embed.proj.weight', 'patch_embed.proj.bias'].map(layers.weight);
  const sides = [patchSize, patchSize];
  const grid = graph.add('Conv', [images, weight, bias], { kernel_shape: sides, strides: sides }); // [B, D, S/p, S/p]
  const rows = graph.add('Reshape', [grid, graph.whole([0, encoder.dim, -1])]); // [B, D, N]
  const patches = graph.add('Transpose', [rows], { perm: [0, 2, 1] }); // [B, N, D]
  return graph.add('Add', [patches, layers.weight('pos_embed')]);
}

/** softmax(Q Kᵀ / √d) V of every head, and the layer that joins them: [B, N, D] -> [B, N, D]. */
function attention(graph: ModelGraph, layers: Layers, { dim, heads }: VitSize, block: string, x: string) {
  const qkv = layers.linear(`${block}.attn.qkv`, layers.narrow(layers.norm(`${block}.norm1`, x, EPSILON))); // [B, N, 3D]
  const names = ['queries', 'keys', 'values'].map((part) => `${block}.attn.${part}`);
  const apart = graph.whole([0, 0, heads, dim / heads]);
  const [queries, keys, values] = graph
    .addAll('Split', [qkv], { axis: -1 }, names)
    .map((part) => graph.add('Reshape', [part, apart])); // [B, N, h, d]
  const byHead = (part: string) => graph.add('Transpose', [part], { perm: [0, 2, 1, 3] });
  const scaled = graph.add('Mul', [byHead(queries), layers.number((dim / heads) ** -0.5)]); // [B, h, N, d]
  const turned = graph.add('Transpose', [keys], { perm: [0, 2, 3, 1] }); // [B, h, d, N]
  const scores = layers.widen(graph.add('MatMul', [scaled, turned])); // [B, h, N, N]
  const weights = layers.narrow(graph.add('Softmax', [scores], { axis: -1 }));
  const mixed = byHead(graph.add('MatMul', [weights, byHead(values)])); // [B, N, h, d]
  const joined = graph.add('Reshape', [mixed, graph.whole([0, 0, dim])]); // [B, N, D]
  return layers.widen(layers.linear(`${block}.attn.proj`, joined));
}

/** GELU(x W₁ᵀ + b₁) W₂ᵀ + b₂: [B, N, D] -> [B, N, D]. */
function mlp(graph: ModelGraph, layers: Layers, block: string, x: string) {
  const hidden = layers.linear(`${block}.mlp.fc1`, layers.narrow(layers.norm(`${block}.norm2`, x, EPSILON))); // [B, N, F]
  // x (1 + erf(x / √2)) / 2, in the order in which ONNX Runtime finds a GELU.
  const erf = graph.add('Erf', [graph.add('Div', [hidden, layers.number(Math.SQRT2)])]);
  const doubled = graph.add('Mul', [hidden, graph.add('Add', [erf, layers.number(1)])]);
  const active = graph.add('Mul', [doubled, layers.number(0.5)]);
  return layers.widen(layers.linear(`${block}.mlp.fc2`, active));
}

/** [B, D] -> [B, C] */
function classify(graph: ModelGraph, mean: string, { weight, bias }: Classifier, dim: number) {
  const inputs = [
    graph.addWeight({ name: 'classifier.weight', type: 'float32', shape: [bias.length, dim], data: () => weight }),
    graph.addWeight({ name: 'classifier.bias', type: 'float32', shape: [bias.length], data: () => bias }),
  ];
  return graph.add('Gemm', [mean, ...inputs], { transB: 1 }, 'logits');
}
