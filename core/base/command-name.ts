import { existsSync } from 'node:fs';
import { basename, delimiter, dirname, join, relative, sep } from 'node:path';

/** How this program was called, for commands that messages name: 'npx ijepa', 'ijepa', or a path that a shell takes. */
export function commandName(script = process.argv[1] ?? 'ijepa', path = process.env.PATH ?? ''): string {
  if (script.includes(join(sep, 'node_modules', '.bin', sep))) return 'npx ijepa';
  if (basename(script).startsWith('ijepa') && !script.endsWith('.js')) {
    return path.split(delimiter).includes(dirname(script)) ? 'ijepa' : quoted(script);
  }
  if (basename(script) === 'start.cjs' || basename(script) === 'ijepa.js') return `node ${quoted(shortest(script))}`;
  return 'npx ijepa';
}

function shortest(path: string): string {
  const near = relative(process.cwd(), path);
  return near.length < path.length && existsSync(near) ? near : path;
}

function quoted(path: string): string {
  return /^[\w./:\\@+-]+$/.test(path) ? path : `"${path}"`;
}
