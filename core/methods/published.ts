import type { PublishedResults } from '../contract/published.js';

const WITHOUT = 'Methods without view augmentations';
const WITH = 'Methods with view augmentations';

/** Tables 1 to 5 of the paper. None of these figures was measured by this program. */
export const PUBLISHED: PublishedResults = {
  source:
    'Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture, CVPR 2023 (arXiv 2301.08243)',
  tables: [
    {
      number: 1,
      name: 'linear-imagenet',
      title: 'ImageNet-1K, linear evaluation',
      facts: ['method', 'arch', 'epochs'],
      benchmarks: ['imagenet'],
      groups: [
        {
          title: WITHOUT,
          rows: [
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
        },
        {
          title: WITH,
          rows: [
            ['SimCLR v2', 'RN152 (2x)', 800, 79.1],
            ['DINO', 'ViT-B/8', 300, 80.1],
            ['iBOT', 'ViT-L/16', 250, 81.0],
          ],
        },
      ],
    },
    {
      number: 2,
      name: 'semi-supervised-imagenet',
      title: 'ImageNet-1K, 1% of the labels (the better of linear probe and fine-tuning)',
      facts: ['method', 'arch', 'epochs'],
      benchmarks: ['imagenet-1pct'],
      groups: [
        {
          title: WITHOUT,
          rows: [
            ['data2vec', 'ViT-L/16', 1600, 73.3],
            ['MAE', 'ViT-L/16', 1600, 67.1],
            ['MAE', 'ViT-H/14', 1600, 71.5],
            ['I-JEPA', 'ViT-L/16', 600, 69.4],
            ['I-JEPA', 'ViT-H/14', 300, 73.3],
            ['I-JEPA', 'ViT-H/16-448', 300, 77.3],
          ],
        },
        {
          title: WITH,
          rows: [
            ['iBOT', 'ViT-B/16', 400, 69.7],
            ['DINO', 'ViT-B/8', 300, 70.0],
            ['SimCLR v2', 'RN151 (2x)', 800, 70.2],
            ['BYOL', 'RN200 (2x)', 800, 71.2],
            ['MSN', 'ViT-B/4', 300, 75.7],
          ],
        },
      ],
    },
    {
      number: 3,
      name: 'transfer-classification',
      title: 'Linear-probe transfer, image classification',
      facts: ['method', 'arch'],
      benchmarks: ['cifar100', 'places205', 'inat18'],
      groups: [
        {
          title: WITHOUT,
          rows: [
            ['data2vec', 'ViT-L/16', 81.6, 54.6, 28.1],
            ['MAE', 'ViT-H/14', 77.3, 55.0, 32.9],
            ['I-JEPA', 'ViT-H/14', 87.5, 58.4, 47.6],
          ],
        },
        {
          title: WITH,
          rows: [
            ['DINO', 'ViT-B/8', 84.9, 57.9, 55.9],
            ['iBOT', 'ViT-L/16', 88.3, 60.4, 57.3],
          ],
        },
      ],
    },
    {
      number: 4,
      name: 'transfer-low-level',
      title: 'Linear-probe transfer, low-level tasks',
      facts: ['method', 'arch'],
      benchmarks: ['clevr-count', 'clevr-dist'],
      groups: [
        {
          title: WITHOUT,
          rows: [
            ['data2vec', 'ViT-L/16', 85.3, 71.3],
            ['MAE', 'ViT-H/14', 90.5, 72.4],
            ['I-JEPA', 'ViT-H/14', 86.7, 72.4],
          ],
        },
        {
          title: WITH,
          rows: [
            ['DINO', 'ViT-B/8', 86.6, 53.4],
            ['iBOT', 'ViT-L/16', 85.7, 62.8],
          ],
        },
      ],
    },
    {
      number: 5,
      name: 'pretraining-scale',
      title: 'I-JEPA, size of the pretraining set and of the model',
      facts: ['pretrain', 'arch'],
      benchmarks: ['cifar100', 'places205', 'inat18', 'clevr-count', 'clevr-dist'],
      groups: [
        {
          title: null,
          rows: [
            ['IN1k', 'ViT-H/14', 87.5, 58.4, 47.6, 86.7, 72.4],
            ['IN22k', 'ViT-H/14', 89.5, 57.8, 50.5, 88.6, 75.0],
            ['IN22k', 'ViT-G/16', 89.5, 59.1, 55.3, 86.7, 73.0],
          ],
        },
      ],
    },
  ],
};
