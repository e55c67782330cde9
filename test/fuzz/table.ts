import type { FuzzedReader } from './reader.js';
import { archiveReaders } from './readers/archives.js';
import { cifar100Readers } from './readers/cifar100.js';
import { dataSetReaders } from './readers/data-sets.js';
import { imageReaders } from './readers/images.js';
import { recordReaders } from './readers/records.js';
import { safetensorsReaders } from './readers/safetensors.js';
import { shardReaders } from './readers/shards.js';
import { torchReaders } from './readers/torch.js';

/** Every reader of outside bytes. */
export async function fuzzedReaders(): Promise<readonly FuzzedReader[]> {
  return [
    ...(await safetensorsReaders()),
    ...cifar100Readers,
    ...dataSetReaders,
    ...recordReaders,
    ...archiveReaders,
    ...shardReaders,
    ...torchReaders,
    ...(await imageReaders()),
  ];
}
