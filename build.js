// Builds the program into dist, and fetches ONNX Runtime into vendor where it is not there.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const require = createRequire(import.meta.url);
const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, 'dist');
const ENGINE = join(DIST, 'core', 'engine');
/** Whose libraries are packed; those of Windows would make the package larger than the rest of it. */
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64'];

rmSync(DIST, { recursive: true, force: true });
compile();
bundleTensors();
fetchRuntime();

function compile() {
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', ROOT], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
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
  rmSync(join(ENGINE, 'tfjs.js'));
  const binaries = join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out');
  for (const name of readdirSync(binaries)) {
    if (name.endsWith('.wasm')) copyFileSync(join(binaries, name), join(ENGINE, name));
  }
}

/** The program goes on without it, with a slower engine. */
function fetchRuntime() {
  const command = join(DIST, 'bin', 'ijepa.js');
  const args = ['engine', 'install', 'onnx', '--if-absent', '--platform', ...PLATFORMS];
  spawnSync(process.execPath, [command, ...args], { stdio: ['ignore', 2, 2] });
}
