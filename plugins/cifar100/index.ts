import { join } from 'node:path';
import { type DataSet, type ImageCollection, type LabelledData, type Plugin, PluginError } from '../../core/plugin.js';
import { locateIn, requireFolder } from '../shared/files.js';
import { transferProtocol } from '../shared/protocol.js';
import { readClassNames, readRecords } from './binary.js';
import { FILES, type Form, findForm, readFiles } from './files.js';
import { type Part, partImages } from './part.js';
import { readBatch, readMeta } from './pickles.js';

const HOLDS = 'a folder with cifar-100-binary or cifar-100-python: unpacked, or as the archive cifar-100-....tar.gz';
/** Images as published. */
const PUBLISHED = { train: 50_000, test: 10_000 };

/** CIFAR-100 with its 100 fine classes, in either published form. Images are kept in memory, 3 KiB each. */
const cifar100: DataSet = {
  name: 'cifar100',
  summary: 'CIFAR-100: 100 classes, 50,000 training and 10,000 test images of 32 x 32 pixels',
  argument: 'folder',
  async open(argument): Promise<ImageCollection> {
    const form = await requireForm(argument);
    const { train, classes } = FILES[form.name];
    const [images, names] = (await readFiles(form, [train, classes])) as [Buffer, Buffer];
    return partImages('train', readPart(form, train, images), readNames(form, names).length);
  },
  async openLabelled(argument): Promise<LabelledData> {
    const form = await requireForm(argument);
    const files = FILES[form.name];
    const contents = await readFiles(form, [files.train, files.test, files.classes]);
    const [trainBytes, testBytes, nameBytes] = contents as [Buffer, Buffer, Buffer];
    const classes = readNames(form, nameBytes);
    const train = partImages('train', readPart(form, files.train, trainBytes), classes.length);
    const test = partImages('test', readPart(form, files.test, testBytes), classes.length);
    const notes = Object.entries({ train, test })
      .map(([name, { length }]) => ({ name, length, published: PUBLISHED[name as keyof typeof PUBLISHED] }))
      .filter(({ length, published }) => length !== published)
      .map(({ name, length, published }) => `${length} ${name} images; the published data set has ${published}`);
    requireSameClasses(train, test, classes);
    return { classes, train, test, notes };
  },
  locate: (path) => locateIn(path, async (folder) => (await findForm(folder)) !== null),
  origin: {
    page: 'https://www.cs.toronto.edu/~kriz/cifar.html',
    files: [
      {
        url: 'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
        checksum: { algorithm: 'md5', hex: '03b5dce01913d631647c71ecec9e9cb8' },
      },
    ],
  },
  protocol: transferProtocol(28, { kind: 'steps', atEpochs: [8, 16, 24] }, 'crop', 'bicubic'),
};

async function requireForm(argument: string | null): Promise<Form> {
  const folder = await requireFolder('cifar100', argument, HOLDS);
  const form = await findForm(folder);
  if (form) return form;
  throw new PluginError(`there is no CIFAR-100 in ${folder}`, {
    expected: HOLDS,
    remedy: 'check the path, or fetch the archive from https://www.cs.toronto.edu/~kriz/cifar.html',
  });
}

function readPart(form: Form, file: string, bytes: Buffer): Part {
  const place = join(form.place, file);
  return form.name === 'binary' ? readRecords(place, bytes) : readBatch(place, bytes);
}

function readNames(form: Form, bytes: Buffer): string[] {
  const place = join(form.place, FILES[form.name].classes);
  return form.name === 'binary' ? readClassNames(bytes, place) : readMeta(place, bytes);
}

function requireSameClasses(
  train: LabelledData['train'],
  test: LabelledData['test'],
  classes: readonly string[],
): void {
  const known = new Set(Array.from({ length: train.length }, (_, index) => train.classOf(index)));
  for (let index = 0; index < test.length; index++) {
    if (known.has(test.classOf(index))) continue;
    throw new PluginError(
      `${test.description} has images of class '${classes[test.classOf(index)]}', which training lacks`,
      {
        expected: `the classes of ${train.description}`,
        remedy: 'fetch the data set anew',
      },
    );
  }
}

const plugin = {
  name: 'cifar100',
  summary: 'CIFAR-100',
  dataSets: [cifar100],
} satisfies Plugin;

export default plugin;
