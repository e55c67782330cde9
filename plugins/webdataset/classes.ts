import { type LabelledData, type LabelledImages, PluginError } from '../../core/plugin.js';

/** Images of shards: a class may be told as text. */
export interface ShardImages extends LabelledImages {
  textOf(index: number): string | undefined;
}

/** Whether any image has a class, as a number or as text. */
export function hasClasses(images: ShardImages): boolean {
  return numbersBelow(images.length).some((index) => images.classOf(index) >= 0 || images.textOf(index) !== undefined);
}

/**
 * Training and test images with the classes that their shards tell: the names of an index, the texts in their order, or
 * numbers from 0.
 * @param test null where there is none
 * @throws PluginError if an image has no class, or one of another kind than the others
 */
export function withClasses(
  train: ShardImages,
  test: ShardImages | null,
  names: readonly string[] | null,
): LabelledData & { notes: string[] } {
  const parts = test ? [train, test] : [train];
  const texts = new Set(
    parts.flatMap((part) => numbersBelow(part.length).flatMap((index) => part.textOf(index) ?? [])),
  );
  const classes = texts.size > 0 ? [...texts].sort() : (names ?? numbersUpTo(parts));
  const places = new Map(classes.map((name, place) => [name, place]));
  const classed = parts.map((part) => (texts.size > 0 ? withTexts(part, places) : part));
  for (const [at, part] of parts.entries()) requireClasses(classed[at] ?? part, part, classes.length, texts);
  const [trainImages = train, testImages = withoutImages(train)] = classed;
  return { classes, train: trainImages, test: testImages, notes: lackingNotes(trainImages, testImages, classes) };
}

function withTexts(images: ShardImages, places: ReadonlyMap<string, number>): LabelledImages {
  const classOf = (index: number) => places.get(images.textOf(index) ?? '') ?? -1;
  const reading = images.forReading?.bind(images);
  const { description, length, fingerprint, notes } = images;
  const item = (index: number) => ({ ...images.item(index), labels: { class: classOf(index) } });
  const facts = { description, length, fingerprint, ...(notes && { notes }), item, classOf };
  return { ...facts, ...(reading && { forReading: reading }) };
}

/** Every image of labelled data has a class, and one that exists. */
function requireClasses(
  images: LabelledImages,
  { textOf }: ShardImages,
  classes: number,
  texts: ReadonlySet<string>,
): void {
  for (let index = 0; index < images.length; index++) {
    const label = images.classOf(index);
    if (label >= 0 && label < classes) continue;
    const isMixed = texts.size > 0 && textOf(index) === undefined;
    const what = isMixed ? `no class that is a text, as others have ('${[...texts][0]}')` : 'no class';
    throw new PluginError(`${images.item(index).name} has ${label < 0 ? what : `class ${label} of ${classes}`}`, {
      expected: 'a .cls file beside each image, with the number of its class from 0, or in all of them a name',
    });
  }
}

/** Says of classes that test images have, but no training image. */
function lackingNotes(train: LabelledImages, test: LabelledImages, classes: readonly string[]): string[] {
  const known = new Set(numbersBelow(train.length).map((index) => train.classOf(index)));
  const lacking = new Set(
    numbersBelow(test.length)
      .map((index) => test.classOf(index))
      .filter((label) => !known.has(label)),
  );
  const [first] = lacking;
  return first === undefined
    ? []
    : [`no training image has a class of ${lacking.size} that test images have, such as ${classes[first]}`];
}

function withoutImages({ fingerprint }: LabelledImages): LabelledImages {
  const none = (index: number): never => {
    throw new Error(`there is no image ${index} of 0`);
  };
  return { description: 'no test images', length: 0, fingerprint, item: none, classOf: none };
}

function numbersUpTo(parts: readonly ShardImages[]): string[] {
  const largest = parts.map((part) =>
    numbersBelow(part.length).reduce((most, index) => Math.max(most, part.classOf(index)), 0),
  );
  return numbersBelow(Math.max(...largest) + 1).map(String);
}

function numbersBelow(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}
