import { spawn } from 'node:child_process';

/** Runs npm to its end, in the current folder, with the user's settings; no scripts of packages. */
export function runNpm(args: readonly string[], cwd = process.cwd()): Promise<{ code: number | null; output: string }> {
  const all = [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const program = process.env.npm_execpath; // npm's own, when this one was started by it
  if (program?.endsWith('npm-cli.js')) return runProgram(process.execPath, [program, ...all], cwd);
  const shell = process.platform === 'win32'; // where npm is a script of the shell
  return runProgram('npm', shell ? all.map((arg) => `"${arg}"`) : all, cwd, shell);
}

/** Runs a program to its end and keeps what it says. */
export function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  shell = false,
): Promise<{ code: number | null; output: string }> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd, shell, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        output += data;
      });
    }
    child.on('error', fail);
    child.on('close', (code) => done({ code, output }));
  });
}
