#!/usr/bin/env node
import { createRequire } from 'node:module';
import { runProgram } from '../commands/program.js';

const { complaint }: { complaint: () => string | undefined } = createRequire(import.meta.url)(
  '../../bin/node-version.cjs',
);
const problem = complaint();
if (problem !== undefined) process.stderr.write(problem);
process.exitCode = problem === undefined ? await runProgram(process.argv) : 2;
