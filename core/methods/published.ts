/** Figures that a paper published, for tables in which own results stand beside them. */
export type PublishedResults = typeof PUBLISHED;
/** A table of a paper. Networks of this program stand below its first group. */
export type PublishedTable = PublishedResults['tables'][number];

/** Facts of a network first, then percent top-1 on each benchmark. */
type Rows = readonly (readonly (string | number)[])[];

const CLASSIFICATION = ['cifar100', 'places205', 'inat18'] as const;
const LOW_LEVEL = ['clevr-count', 'clevr-dist'] as const;
/** What the figures of a column were measured on. */
export type BenchmarkName = 'imagenet' | 'imagenet-1pct' | (typeof CLASSIFICATION | typeof LOW_LEVEL)[number];

/** What a column of text says of a network. */
export type FactName = 'method' | 'arch' | 'epochs' | 'pretrain';

const WITHOUT = 'Methods without view augmentations';
const WITH = 'Methods with view augmentations';

/** Tables 1 to 5 of the paper. None of these figures was measured by this program. */
export const PUBLISHED = {
  source:
    'Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture, CVPR 2023 (arXiv 2301.08243)',
  tables: [
    table('linear-imagenet', 'ImageNet-1K, linear evaluation', ['method', 'arch', 'epochs'], ['imagenet'], {
      [WITHOUT]: [
        ['data2vec', 'ViT-L/16', 1600, 77.3],
        ['MAE', 'ViT-B/16', 1600, 68.0],
        ['MAE', 'ViT-L/16', 1600, 76.0],
        ['MAE', 'ViT-H/14', 1600, 77.2],
        ['CAE', 'ViT-B/16', 1600, 70.4],
        ['CAE', 'ViT-L/16', 1600, 78.1],
        ['I-JEPA', 'ViT-B/16', 600, 72.9],
        ['I-JEPA', 'ViT-L/16', 600, 77.5],
        ['I-JEPA', 'ViT-H/14', 300, 79.3],
        ['I-JEPA', 'ViT-H/16-448', 300, 81.1],
      ],
      [WITH]: [
        ['SimCLR v2', 'RN152 (2x)', 800, 79.1],
        ['DINO', 'ViT-B/8', 300, 80.1],
        ['iBOT', 'ViT-L/16', 250, 81.0],
      ],
    }),
    table(
      'semi-supervised-imagenet',
      'ImageNet-1K, 1% of the labels (the better of linear probe and fine-tuning)',
      ['method', 'arch', 'epochs'],
      ['imagenet-1pct'],
      {
        [WITHOUT]: [
          ['data2vec', 'ViT-L/16', 1600, 73.3],
          ['MAE', 'ViT-L/16', 1600, 67.1],
          ['MAE', 'ViT-H/14', 1600, 71.5],
          ['I-JEPA', 'ViT-L/16', 600, 69.4],
          ['I-JEPA', 'ViT-H/14', 300, 73.3],
          ['I-JEPA', 'ViT-H/16-448', 300, 77.3],
        ],
        [WITH]: [
          ['iBOT', 'ViT-B/16', 400, 69.7],
          ['DINO', 'ViT-B/8', 300, 70.0],
          ['SimCLR v2', 'RN151 (2x)', 800, 70.2],
          ['BYOL', 'RN200 (2x)', 800, 71.2],
          ['MSN', 'ViT-B/4', 300, 75.7],
        ],
      },
    ),
    table(
      'transfer-classification',
      'Linear-probe transfer, image classification',
      ['method', 'arch'],
      CLASSIFICATION,
      {
        [WITHOUT]: [
          ['data2vec', 'ViT-L/16', 81.6, 54.6, 28.1],
          ['MAE', 'ViT-H/14', 77.3, 55.0, 32.9],
          ['I-JEPA', 'ViT-H/14', 87.5, 58.4, 47.6],
        ],
        [WITH]: [
          ['DINO', 'ViT-B/8', 84.9, 57.9, 55.9],
          ['iBOT', 'ViT-L/16', 88.3, 60.4, 57.3],
        ],
      },
    ),
    table('transfer-low-level', 'Linear-probe transfer, low-level tasks', ['method', 'arch'], LOW_LEVEL, {
      [WITHOUT]: [
        ['data2vec', 'ViT-L/16', 85.3, 71.3],
        ['MAE', 'ViT-H/14', 90.5, 72.4],
        ['I-JEPA', 'ViT-H/14', 86.7, 72.4],
      ],
      [WITH]: [
        ['DINO', 'ViT-B/8', 86.6, 53.4],
        ['iBOT', 'ViT-L/16', 85.7, 62.8],
      ],
    }),
    table(
      'pretraining-scale',
      'I-JEPA, size of the pretraining set and of the model',
      ['pretrain', 'arch'],
      [...CLASSIFICATION, ...LOW_LEVEL],
      {
        '': [
          ['IN1k', 'ViT-H/14', 87.5, 58.4, 47.6, 86.7, 72.4],
          ['IN22k', 'ViT-H/14', 89.5, 57.8, 50.5, 88.6, 75.0],
          ['IN22k', 'ViT-G/16', 89.5, 59.1, 55.3, 86.7, 73.0],
        ],
      },
      'I-JEPA',
    ),
  ].map((table, at) => ({ number: at + 1, ...table })),
};

/**
 * @param groups rows below the heading of each group; '' for none
 * @param method that of all rows, where no column names it
 */
function table(
  name: string,
  title: string,
  facts: readonly FactName[],
  benchmarks: readonly BenchmarkName[],
  groups: Readonly<Record<string, Rows>>,
  method: string | null = null,
) {
  const titled = Object.entries(groups).map(([heading, rows]) => ({ title: heading || null, rows }));
  return { name, title, facts, benchmarks, groups: titled, method };
}
