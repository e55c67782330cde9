#!/usr/bin/env node
import { runProgram } from '../commands/program.js';
import { programArguments } from '../core/arguments.js';

process.exitCode = await runProgram(programArguments(process.argv));
