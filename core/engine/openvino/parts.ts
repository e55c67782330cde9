import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Engine } from '../contract.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { ArrayPool } from '../onnx/pool.js';
import { resultOf, TracedFunction } from '../onnx/replay.js';
import type { GraphInput } from '../onnx/sessions.js';
import type { Structure } from '../onnx/structure.js';
import type { OpenVino, Properties } from './library.js';
import { Model, variedSchema } from './models.js';

/** What varied in each model, by a checksum of its structure. */
const historySchema = z.record(z.string(), z.record(z.string(), variedSchema)).catch({});

/**
 * Functions of parts of a batch, computed by OpenVINO one after the other, each on all threads: two at a time, each on half
 * of them, are no faster but for very small networks, and take a second set of gradients and of intermediate results.
 */
export function partsOn(
  backend: OnnxBackend,
  openvino: OpenVino,
  properties: Properties,
): Pick<Engine, 'concurrency' | 'compileParts' | 'history'> & { free(): void } {
  const models = new Map<string, Model>();
  let restored: z.infer<typeof historySchema> = {};
  const pool = new ArrayPool();
  const modelOf = async (structure: Structure, inputs: readonly GraphInput[]) => {
    const key = checksum(structure.key);
    const known = models.get(key);
    if (known) await backend.inTurn(async () => known.widen(inputs));
    const model = known ?? new Model(openvino, structure, inputs, properties, restored[key]);
    models.set(key, model);
    return model;
  };
  return {
    concurrency: 1,
    free() {
      for (const model of models.values()) model.free();
      models.clear();
      pool.clear();
    },
    history: {
      save() {
        const known = [...models].flatMap(([key, model]) => {
          const varied = model.varied();
          return varied ? [[key, varied] as const] : [];
        });
        const all = Object.entries({ ...restored, ...Object.fromEntries(known) });
        return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
      },
      restore(saved) {
        restored = historySchema.parse(saved);
      },
    },
    compileParts<Shared, Part, Result>(fn: (shared: Shared, part: Part) => Result) {
      const traced = new TracedFunction(backend, fn, modelOf);
      return async function* (shared: Shared, parts: readonly Part[]) {
        const calls = [];
        for (const part of parts) calls.push(await traced.call([shared, part])); // all shapes before the first compilation
        for (const call of calls) {
          const { ready, inputs, outputs } = call.program;
          const results = await backend.inTurn(() => ready.run(inputs, outputs, call.data, pool));
          yield resultOf(backend, call, results, pool) as Result;
        }
      };
    },
  };
}

const checksum = (key: string) => createHash('sha256').update(key).digest('base64url').slice(0, 16);
