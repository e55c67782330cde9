// Builds the program into dist, and fetches ONNX Runtime into vendor where it is not there.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const require = createRequire(import.meta.url);
const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, 'dist');
const ENGINE = join(DIST, 'core', 'engine');
/** The source of what browsers run. */
const PAGE = join(ROOT, 'core', 'report', 'page');
/** Whose libraries are packed; those of Windows would make the package larger than the rest of it. */
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64'];

rmSync(DIST, { recursive: true, force: true });
compile();
bundleTensors();
bundlePage();
copyTensorTypes();
fetchRuntime();

function compile() {
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  for (const project of [ROOT, PAGE]) {
    const { status } = spawnSync(process.execPath, [tsc, '--checkers', '1', '-p', project], { stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}

/** TensorFlow.js with its gradients and backends as one file, and the WebAssembly that it loads. */
function bundleTensors() {
  buildSync({
    entryPoints: [join(ENGINE, 'tfjs.js')],
    outfile: join(ENGINE, 'tfjs.cjs'),
    bundle: true,
    platform: 'node',
    mainFields: ['module', 'main'],
    format: 'cjs',
    target: 'node20',
    logLevel: 'warning',
  });
  for (const name of ['tfjs.js', 'tfjs.js.map', 'tfjs.d.ts']) rmSync(join(ENGINE, name));
  const binaries = join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out');
  for (const name of readdirSync(binaries)) {
    if (name.endsWith('.wasm')) copyFileSync(join(binaries, name), join(ENGINE, name));
  }
}

/** The script and the style of reports, each with what it takes from uPlot as one file. */
function bundlePage() {
  buildSync({
    entryPoints: { page: join(PAGE, 'main.ts') },
    outdir: join(DIST, 'core', 'report', 'page'),
    bundle: true,
    minify: true,
    charset: 'utf8',
    legalComments: 'none', // NOTICE has its licence
    format: 'iife',
    target: 'es2022',
    logLevel: 'warning',
  });
}

/** The types of TensorFlow.js, of which those of the library are made: nobody else brings them to its users. */
function copyTensorTypes() {
  const into = join(ENGINE, 'tfjs-core');
  const isType = (path) => /(?<!_test)\.d\.ts$/.test(path);
  cpSync(join(dirname(require.resolve('@tensorflow/tfjs-core/package.json')), 'dist'), into, {
    recursive: true,
    filter: (path) => statSync(path).isDirectory() || isType(path),
  });
  // Their imports have no extensions, as CommonJS allows, and two of them name types of WebGPU that nobody has.
  writeFileSync(join(into, 'package.json'), '{ "type": "commonjs" }\n');
  for (const name of ['types.d.ts', 'tensor.d.ts']) edit(join(into, name), /^\/\/\/ <reference types="@webgpu.*$/m, '');
  edit(join(ENGINE, 'tf.d.ts'), /'@tensorflow\/tfjs-core'/g, "'./tfjs-core/index.js'");
  const chained = 'public/chained_ops/register_all_chained_ops.js';
  edit(join(ENGINE, 'tf.d.ts'), /^/, `import type {} from './tfjs-core/${chained}';\n`);
}

function edit(path, pattern, replacement) {
  writeFileSync(path, readFileSync(path, 'utf8').replace(pattern, replacement));
}

/** The program goes on without it, with a slower engine. */
function fetchRuntime() {
  const command = join(DIST, 'bin', 'ijepa.js');
  const args = ['engine', 'install', 'onnx', '--if-absent', '--platform', ...PLATFORMS];
  spawnSync(process.execPath, [command, ...args], { stdio: ['ignore', 2, 2] });
}
