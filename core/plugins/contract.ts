import { z } from 'zod';
import { NONE, OPTION_KINDS } from '../config/option.js';
import { OPTIONS } from '../config/schema.js';

const callable = z.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', 'not a function');
const text = z.string().min(1);
const name = z.string().regex(/^[a-z][a-z0-9-]*$/, 'not a name in lower case: letters, digits, hyphens');
const named = z.object({ name, summary: text });

const checksum = z.union([
  z.object({ algorithm: z.literal('md5'), hex: z.string().regex(/^[0-9a-f]{32}$/) }),
  z.object({ algorithm: z.literal('sha256'), hex: z.string().regex(/^[0-9a-f]{64}$/) }),
]);

const origin = z.object({
  page: z.url(),
  terms: text.optional(),
  files: z.array(z.object({ url: z.url(), bytes: z.int().min(1).optional(), checksum: checksum.optional() })),
});

const protocol = z.object({
  optimiser: z.enum(['lars', 'sgd']),
  epochs: z.int().min(1),
  batchSize: z.int().min(1),
  baseLearningRate: z.number().positive(),
  schedule: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('steps'), atEpochs: z.array(z.int().min(1)) }),
    z.object({
      kind: z.literal('cosine'),
      finalPart: z.number().min(0).max(1),
      by: z.enum(['epochs', 'steps']).optional(),
    }),
  ]),
  momentum: z.number().min(0).lt(1),
  nesterov: z.boolean(),
  weightDecays: z.array(z.number().min(0)).min(1),
  learningRateFactors: z.array(z.number().positive()).min(1),
  features: z.array(z.enum(['last', 'last-4'])).min(1),
  norms: z.array(z.enum(['none', 'batch'])).min(1),
  decorrelated: z.boolean().optional(),
  transform: z.enum(['crop', 'squash']),
  interpolation: z.enum(['bilinear', 'bicubic']).optional(),
});

const dataSet = named.extend({
  argument: text.optional(),
  open: callable,
  openLabelled: callable.optional(),
  check: callable.optional(),
  locate: callable.optional(),
  origin: origin.optional(),
  protocol: protocol.optional(),
});

const loss = named.extend({ compute: callable });
const regularizer = named.extend({
  name: name.refine((word) => word !== NONE, `'${NONE}' stands for no regularizer`),
  draw: callable.optional(),
  compute: callable,
});
const tokenizer = named.extend({
  name: name.refine((word) => word !== NONE, `'${NONE}' stands for no tokenizer`),
  vocabularySize: z.int().min(2),
  tokens: callable,
});
/** An option of a method; its name may not be that of a common one. */
const options = z.record(
  z
    .string()
    .regex(/^[a-z][A-Za-z0-9]*$/, "not a name as in 'hiddenFraction'")
    .refine((word) => !Object.hasOwn(OPTIONS, word), 'the name of an option of every method'),
  z.looseObject({ kind: z.enum(OPTION_KINDS), help: text }),
);
const method = z.object({
  name,
  title: text,
  summary: text,
  options,
  defaults: z.record(z.string(), z.unknown()),
  presets: z.record(z.string(), z.object({ summary: text, options: z.record(z.string(), z.unknown()) })),
  extensions: callable.optional(),
  acceptsResNet: z.boolean().optional(),
  create: callable,
  automatic: callable.optional(),
  describe: callable,
  passes: callable,
  describeMasks: callable.optional(),
});
const monitor = named.extend({
  values: z.array(z.string().regex(/^[A-Za-z]\w*$/, 'not a name: letters, digits, _')),
  start: callable,
});

const plugin = named.extend({
  dataSets: z.array(dataSet).optional(),
  losses: z.array(loss).optional(),
  regularizers: z.array(regularizer).optional(),
  tokenizers: z.array(tokenizer).optional(),
  methods: z.array(method).optional(),
  monitors: z.array(monitor).optional(),
  commands: callable.optional(),
});

/** Where a value departs from the contract of plugins, for people; null where it does not. */
export function contractProblem(value: unknown, form: z.ZodType = plugin, whole = 'the default export'): string | null {
  const result = form.safeParse(value);
  if (result.success) return null;
  const issue = result.error.issues[0];
  const { message = 'not as it should be' } = (issue?.code === 'invalid_key' ? issue.issues[0] : issue) ?? {};
  return `${issue?.path.join('.') || whole}: ${message}`;
}

/** The same for a single data set. */
export function dataSetProblem(value: unknown): string | null {
  return contractProblem(value, dataSet, 'the data set');
}
