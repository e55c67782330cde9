/** The process of one reader: `worker.js NAME CASES SEED FOLDER`; tells its parent how far it is. */
import { writeFile } from 'node:fs/promises';
import type { Message } from './main.js';
import { fuzzedReaders } from './table.js';
import { tryReader } from './trial.js';

const BETWEEN_MESSAGES_MS = 500;

const [name, cases, seed, folder = ''] = process.argv.slice(2);
const reader = (await fuzzedReaders()).find((candidate) => candidate.name === name);
if (!reader) throw new Error(`there is no reader '${name}'`);
const send = (message: Message) => process.send?.(message);
let told = 0;
const { failure, ...summary } = await tryReader(reader, Number(cases), Number(seed), folder, (so) => {
  if (Date.now() - told < BETWEEN_MESSAGES_MS) return;
  told = Date.now();
  send({ so });
});
const input = `${folder}.failed`;
if (failure) await writeFile(input, failure.input);
send({ summary, problem: failure?.problem ?? null, input });
process.disconnect();
