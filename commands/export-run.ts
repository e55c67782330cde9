import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { writeFileAtomically } from '../core/base/atomic.js';
import { count, createConsole, formatBytes } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { buildFolder } from '../core/base/staging.js';
import { findHead, readHead } from '../core/eval/head-file.js';
import { fingerprintOf } from '../core/eval/network.js';
import type { EncoderFile } from '../core/exchange/encoder-file.js';
import { readEncoder } from '../core/exchange/read.js';
import { FORMS } from '../core/exchange/write.js';
import type { NamedClassifier } from '../core/exchange/written.js';
import { countParameters, encoderShapes } from '../core/nn/parameters.js';
import { encoderName } from '../core/nn/sizes.js';
import { modelCard } from '../core/report/model-card.js';
import { findResults } from '../core/run/results-search.js';
import { runFolder } from '../core/run/run-folder.js';
import type { ConvertOptions, ExportOptions } from './options/exchange.js';

/** Says what a file or folder of weights holds. */
export async function runConvert(options: ConvertOptions): Promise<void> {
  const { model, to, out, json } = options;
  if ((to === null) !== (out === null)) {
    throw new UserError('--to and --out belong together', { expected: 'both, or neither to see what the model is' });
  }
  if (to !== null && out !== null) return runExport({ ...options, to, out });
  const encoder = await readModel(options);
  const console = createConsole(json);
  for (const line of describe(encoder)) console.line(line);
  const { size, facts, positions } = encoder;
  const { notes } = encoder;
  const said = {
    model,
    arch: encoderName(size.encoder, size.patchSize),
    ...size,
    ...facts,
    positions: positions === null ? 'sine-cosine' : 'learned',
    notes,
  };
  if (json) process.stdout.write(`${JSON.stringify(said)}\n`);
}

/** Writes a model for another program, with a card that tells what it is. */
export async function runExport(options: ExportOptions): Promise<void> {
  const { model, to, out, force, json } = options;
  const form = FORMS[to];
  const precisions = options.precision.length > 0 ? options.precision : undefined;
  const console = createConsole(json);
  requirePrecision(to, precisions);
  if (options.head !== null && to !== 'hf' && to !== 'onnx') {
    throw new UserError(`--head does not go with --to ${to}`, { expected: '--to hf or onnx', remedy: 'leave it out' });
  }
  await requireFree(out, force);
  const encoder = await readModel(options);
  const classifier = options.head === null ? undefined : await classifierOf(options.head, encoder);
  const how = { precisions, classifier };
  for (const line of describe(encoder)) console.line(line);
  const usage = form.usage(encoder, out, how);
  await buildFolder(resolve(out), async (staging) => {
    const folder = join(staging, 'model');
    await mkdir(folder);
    await form.write(encoder, folder, how);
    const { size } = encoder;
    const card = {
      arch: encoderName(size.encoder, size.patchSize),
      library: form.library,
      language: form.language,
      usage,
      classes: classifier?.classes ?? null,
      results: await resultsOf(model),
      ...(await copyRun(model, folder)),
    };
    await writeFileAtomically(join(folder, 'README.md'), modelCard(encoder, card));
    return folder;
  });
  const entries = (await readdir(out, { recursive: true })).sort().map((name) => join(out, name));
  const files = entries.filter((path) => statSync(path).isFile());
  for (const file of files) console.line(`wrote    ${file}, ${formatBytes(statSync(file).size)}`);
  console.line(`\nin ${form.language === 'sh' ? 'a shell' : form.language}:\n  ${usage.join('\n  ')}`);
  if (json) process.stdout.write(`${JSON.stringify({ model, to, out, files, usage, notes: encoder.notes })}\n`);
}

async function readModel({ model, encoder, heads, imageSize }: Omit<ConvertOptions, 'to' | 'out' | 'precision'>) {
  return readEncoder(model, encoder, { ...(heads !== null && { heads }), ...(imageSize !== null && { imageSize }) });
}

function describe({ size, facts, positions, notes }: EncoderFile): string[] {
  const { encoder, imageSize, patchSize } = size;
  const parts = Object.entries({
    'a class token': encoder.classToken,
    'layer scales': encoder.layerScale,
    'relative positions': encoder.relativePositions,
    'positions that were learned': positions !== null,
  });
  const having = parts.flatMap(([name, has]) => (has ? [name] : []));
  const millions = countParameters(encoderShapes(size)) / 1e6;
  const trained = [
    facts.method ?? 'unknown method',
    ...(facts.epochs === null ? [] : [count(facts.epochs, 'epoch')]),
    ...(facts.pretrainedOn === null ? [] : [`on ${facts.pretrainedOn}`]),
  ];
  return [
    `model    ${encoderName(encoder, patchSize)} at ${imageSize} px, ${facts.encoder} of ${facts.checkpoint}`,
    `trained  ${trained.join(', ')}`,
    `sizes    width ${encoder.dim}, ${encoder.depth} blocks, ${encoder.heads} heads, ${millions.toFixed(1)} million ` +
      `parameters${having.length > 0 ? `; with ${having.join(', ')}` : ''}`,
    ...notes.map((note) => `note     ${note}`),
  ];
}

/** The head of a probe as a classifier on the mean over patches; batch norm and all else that it had are folded into it. */
async function classifierOf(path: string, encoder: EncoderFile): Promise<NamedClassifier> {
  const file = await findHead(path);
  const { head, classes, facts, transform, interpolation } = await readHead(file);
  if (facts.fingerprint !== fingerprintOf(encoder)) {
    throw new UserError(
      `${file} belongs to another encoder than the ${encoder.facts.encoder} of ${encoder.facts.checkpoint}`,
      {
        expected: `the ${facts.encoder} of ${facts.checkpoint}, as it was when the head was trained`,
        remedy: 'export that one, or probe this one',
      },
    );
  }
  if (head.features !== 'last') {
    throw new UserError(`${file} sees the last four layers`, {
      expected: 'a head on the last layer, which is all that other programs give to one',
      remedy: 'probe again with --layers last, and another --out',
    });
  }
  const { mean, weight } = head; // W (x - mean) + b = W x + (b - W mean)
  const bias = head.bias.map((b, c) => mean.reduce((sum, x, k) => sum - weight[c * mean.length + k] * x, b));
  return { weight, bias, classes, transform, interpolation };
}

/** Results of a run that lie in its folder. */
async function resultsOf(model: string) {
  if (!statSync(model, { throwIfNoEntry: false })?.isDirectory()) return [];
  return (await findResults([model], () => {})).map(({ result }) => result);
}

/** Copies what tells how a run went. */
async function copyRun(model: string, folder: string) {
  const { masks, curves, config } = runFolder(model);
  const pictures: Record<string, string> = {};
  for (const [what, file] of [
    ['Masks of the first step', masks],
    ['Curves of the run', curves],
  ] as const) {
    if (!existsSync(file)) continue;
    await copyFile(file, join(folder, basename(file)));
    pictures[what] = basename(file);
  }
  if (!existsSync(config)) return { pictures, settings: null };
  await copyFile(config, join(folder, 'pretraining.yaml'));
  return { pictures, settings: 'pretraining.yaml' };
}

/** @throws UserError where a form cannot be written in the precisions that are asked for */
function requirePrecision(to: ExportOptions['to'], precisions: ExportOptions['precision'] | undefined): void {
  if (to === 'onnx' || precisions === undefined) return;
  if (to === 'safetensors' && precisions.length === 1 && precisions[0] !== 'q8') return;
  throw new UserError(`--precision ${precisions.join()} does not go with --to ${to}`, {
    expected: '--to onnx, or one of fp32 and fp16 with --to safetensors; the others keep the weights as they are',
    remedy: 'leave it out',
  });
}

async function requireFree(out: string, force: boolean): Promise<void> {
  const found = statSync(out, { throwIfNoEntry: false });
  if (found === undefined || (found.isDirectory() && (await readdir(out)).length === 0)) return;
  const isExport =
    found.isDirectory() && (existsSync(join(out, 'config.json')) || existsSync(join(out, 'model.safetensors')));
  if (force && isExport) return;
  throw new UserError(`${out} is not empty`, {
    expected: 'a new or empty folder',
    remedy: isExport ? 'use --force to replace it, or choose another --out' : 'choose another --out',
  });
}
