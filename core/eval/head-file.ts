import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { listOf } from '../base/list-of.js';
import { PROGRAM, programVersion } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.js';
import { builtinHead, isBuiltin } from '../exchange/builtin.js';
import type { LinearHead } from './linear-head.js';
import { networkFacts } from './named-network.js';
import type { FeatureNetwork } from './network.js';
import { type EvaluationResult, resultKey } from './results.js';

const FORMAT = `${PROGRAM}-head-1`;
/** Where the heads of results lie, beside them. */
const FOLDER = 'heads';
/** Digits that tell the heads of a folder apart. */
const DIGITS = 8;

/**
 * Writes the head that an evaluation chose into the folder of its results: the tensors `mean` [K], `weight` [C, K] and `bias`
 * [C], with the names of the classes, the network, and how images are seen in the metadata. That of an earlier evaluation of
 * the same network on the same data by the same protocol is replaced.
 * @param out the folder of results
 * @returns the file
 */
export async function writeHead(
  out: string,
  head: LinearHead,
  network: FeatureNetwork,
  classes: readonly string[],
  result: EvaluationResult,
): Promise<string> {
  const { dataSet, dataDescription, protocol, best } = result;
  const digits = createHash('sha256').update(resultKey(result)).digest('hex').slice(0, DIGITS);
  const folder = join(out, FOLDER);
  await makeFolders(folder);
  const path = join(folder, `${dataSet}-${digits}.safetensors`);
  const { features, mean, weight, bias } = head;
  const tensors = new Map([
    ['mean', { shape: [mean.length], data: mean }],
    ['weight', { shape: [bias.length, mean.length], data: weight }],
    ['bias', { shape: [bias.length], data: bias }],
  ]);
  await writeSafetensors(path, tensors, {
    format: FORMAT,
    ...networkFacts(network),
    head: best.name,
    features,
    data: dataDescription,
    top1: String(best.top1.value),
    transform: protocol.transform,
    interpolation: protocol.interpolation ?? 'bicubic',
    classes: JSON.stringify(classes),
    programVersion: programVersion(),
  });
  return path;
}

/**
 * The file of a head that a path stands for: itself, or the only one in a folder of results; that of weights of the program.
 * @throws UserError if a folder has none, or several, or there are no such weights
 */
export async function findHead(path: string): Promise<string> {
  if (isBuiltin(path)) return builtinHead(path);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  const names = await readdir(join(path, FOLDER)).catch(() => []);
  const files = names.filter((name) => name.endsWith('.safetensors')).sort();
  const [first] = files;
  if (first === undefined) {
    throw new UserError(`there is no head in ${path}`, {
      expected: `the folder that a probe was given as --out, with ${FOLDER} in it`,
      remedy: `train one with: ${PROGRAM} probe CHECKPOINT --data DATA --out ${path}`,
    });
  }
  if (files.length === 1) return join(path, FOLDER, first);
  const paths = files.map((name) => join(path, FOLDER, name));
  const lines = await Promise.all(
    paths.map(async (file) => {
      const { facts } = await readHead(file);
      return `    ${file}: ${facts.encoder} encoder of ${facts.checkpoint}, ${facts.data}`;
    }),
  );
  throw new UserError(`there are ${files.length} heads in ${path}:\n${lines.join('\n')}`, {
    expected: 'one head',
    remedy: 'name one of these files',
  });
}

const factsSchema = z.looseObject({
  format: z.literal(FORMAT),
  features: z.enum(['last', 'last-4']),
  transform: z.enum(['crop', 'squash']),
  interpolation: z.enum(['bilinear', 'bicubic']),
});

/**
 * Reads what `writeHead` wrote.
 * @returns the head with the names of its classes, C, what the file says of its network, and how that saw images
 * @throws UserError if the file is missing, damaged, or something else
 */
export async function readHead(path: string) {
  const file = await readSafetensors(path);
  const facts = factsSchema.safeParse(file.metadata);
  const classes = listOf(z.string()).safeParse(tryJson(file.metadata.classes ?? 'null'));
  const [mean, weight, bias] = ['mean', 'weight', 'bias'].map((name) => file.tensors.get(name)?.data);
  const isWhole =
    mean instanceof Float32Array &&
    weight instanceof Float32Array &&
    bias instanceof Float32Array &&
    weight.length === mean.length * bias.length &&
    bias.length === classes.data?.length;
  if (!facts.success || !isWhole || !classes.success) {
    throw new UserError(`${path} is not the head of a probe`, {
      expected: `a file that a probe left in ${FOLDER} below its --out, or that --out itself`,
      remedy: `train one with: ${PROGRAM} probe CHECKPOINT --data DATA --out FOLDER`,
    });
  }
  const { features, transform, interpolation } = facts.data;
  const head: LinearHead = { features, mean, weight, bias };
  return { head, classes: classes.data, facts: file.metadata, transform, interpolation };
}
