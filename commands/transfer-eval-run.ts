import { stat } from 'node:fs/promises';
import { explainSystemError, UserError } from '../core/base/errors.js';
import { requireDataSet } from '../core/data/open.js';
import { openLabelled } from '../core/eval/labelled-data.js';
import type { DataSet } from '../core/plugin.js';
import { type Judged, runEvaluations } from './evaluation-run.js';
import type { TransferOptions } from './options/evaluation.js';
import { configuredDataSets } from './plugins.js';

/** A data set that was asked for and is not there. */
interface Missing {
  dataSet: string;
  /** A page for people. */
  page: string | null;
  /** What fetches it; null where it is not to be had without an account. */
  command: string | null;
}

/** Judges encoders on every data set that is found. */
export async function runTransferEval(options: TransferOptions): Promise<number> {
  const { checkpoints, dataRoot: root, datasets } = options;
  const dataSets = await configuredDataSets();
  await stat(root).catch((error: unknown) => {
    throw explainSystemError(error, root);
  });
  const found: { dataSet: DataSet; place: string }[] = [];
  const missing: Missing[] = [];
  for (const dataSet of namedDataSets(datasets, dataSets)) {
    const place = (await dataSet.locate?.(root)) ?? null;
    if (place === null) missing.push(missingOf(dataSet, root));
    else found.push({ dataSet, place });
  }
  for (const { dataSet, page, command } of missing) {
    const how = [command && `fetch it with: ${command}`, page && `see ${page}`].filter(Boolean).join(', or ');
    process.stderr.write(`${dataSet} is not below ${root}${how && `: ${how}`}\n`);
  }
  if (found.length === 0) {
    throw new UserError(`none of the data sets ${datasets.join(', ')} is below ${root}`, {
      expected: 'at least one of them, in the form in which it is published',
      remedy: `npx ijepa data lists what there is, and where to get it`,
    });
  }
  return runEvaluations(checkpoints, openEach(found, dataSets), options, { more: { missing } });
}

async function* openEach(
  found: readonly { dataSet: DataSet; place: string }[],
  dataSets: readonly DataSet[],
): AsyncGenerator<Judged> {
  for (const { dataSet, place } of found) {
    yield { ...(await openLabelled(`${dataSet.name}:${place}`, dataSets)), kind: 'transfer' };
  }
}

function namedDataSets(names: readonly string[], dataSets: readonly DataSet[]): DataSet[] {
  const known = dataSets.filter(({ openLabelled, locate }) => openLabelled && locate);
  return names.map((name) => requireDataSet(name, known));
}

function missingOf({ name, origin }: DataSet, root: string): Missing {
  const command = origin && origin.files.length > 0 ? `npx ijepa data download ${name} ${root}` : null;
  return { dataSet: name, page: origin?.page ?? null, command };
}
