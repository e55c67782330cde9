import { count } from '../base/console.js';
import { PROGRAM, programVersion } from '../base/program.js';
import type { EvaluationResult } from '../eval/results.js';
import type { EncoderFile } from '../exchange/encoder-file.js';
import { PUBLISHED } from '../methods/published.js';
import { tableMarkdown } from './table-formats.js';
import { evaluationTables } from './tables.js';

/** What a card tells beside the encoder. */
export interface CardFacts {
  /** 'ViT-S/16' */
  arch: string;
  /** The library that opens the folder, as the hub calls it. */
  library: string | null;
  language: 'Python' | 'JavaScript' | 'sh';
  /** Lines of that language. */
  usage: readonly string[];
  /** Those that it names; null where it gives features. */
  classes: readonly string[] | null;
  results: readonly EvaluationResult[];
  /** Pictures of the run beside the card: what each shows, and its file. */
  pictures: Readonly<Record<string, string>>;
  /** The file beside it with every option of the run; null where there is none. */
  settings: string | null;
}

/** A README.md in the form that model hubs read: what the encoder is, how to use it, how it was judged. */
export function modelCard({ size, facts }: EncoderFile, card: CardFacts): string {
  const { imageSize, encoder } = size;
  const { method, pretrainedOn, epochs } = facts;
  const title = `${card.arch}${method ? `, ${method}` : ''}`;
  const tables = evaluationTables(card.results, PUBLISHED).filter(({ groups }) =>
    groups.some(({ rows }) => rows.some(({ source }) => source === 'measured')),
  );
  const pooled = encoder.classFeatures ? 'its class token' : 'the mean of its patch tokens';
  const length = epochs === null ? '' : ` for ${count(epochs, 'epoch')}`;
  const parts = [
    `---\n${card.library === null ? '' : `library_name: ${card.library}\n`}pipeline_tag: ${card.classes ? 'image-classification' : 'image-feature-extraction'}\n` +
      'tags:\n- self-supervised-learning\n- vision-transformer\n---',
    `# ${title}`,
    `A vision transformer that was trained without labels${method ? ` by ${method}` : ''}` +
      `${pretrainedOn === null ? '' : ` on ${pretrainedOn}`}${length}: width ${encoder.dim}, ${encoder.depth} blocks, ` +
      `${encoder.heads} heads, images of ${imageSize} px in patches of ${size.patchSize} px. It turns a picture into ` +
      (card.classes
        ? `the names of ${card.classes.length} classes, by a linear head on ${pooled}.`
        : `features, ${pooled}; it names no classes.`),
    `\`\`\`${card.language.toLowerCase()}\n${card.usage.join('\n')}\n\`\`\``,
    `Pictures are scaled so that the shorter side has ${Math.floor((imageSize * 256) / 224)} px (bicubic), cut to the ` +
      `${imageSize} px in the middle, and normalised by the mean and standard deviation of ImageNet's colours.`,
    ...(tables.length === 0 ? [] : ['## How it was judged', ...tables.map(tableMarkdown)]),
    ...Object.entries(card.pictures).map(([what, file]) => `![${what}](${file})`),
    ...(card.settings === null ? [] : [`Every option of its training is in [${card.settings}](${card.settings}).`]),
    `Written by ${PROGRAM} ${programVersion()}.`,
  ];
  return `${parts.join('\n\n')}\n`;
}
