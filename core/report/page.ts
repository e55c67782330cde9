import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ReportFacts } from './facts.js';
import { escapeXml } from './picture.js';

/** What the build makes of the folder `page`. */
const SCRIPT = fileURLToPath(new URL('./page/page.js', import.meta.url));
const STYLE = fileURLToPath(new URL('./page/page.css', import.meta.url));

/**
 * A page about runs as one HTML file that needs nothing else: its policy forbids every request, but for those of a page that is
 * `served` to the server that it came from.
 */
export function reportPage(facts: ReportFacts, { served = false } = {}): string {
  const [script, style] = [SCRIPT, STYLE].map((path) => readFileSync(path, 'utf8')) as [string, string];
  const title = facts.runs.map(({ name }) => name).join(', ');
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policyOf(script, style, served)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<link rel="icon" href="data:,">',
    `<title>${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<noscript>This page draws its figures by a script, which is switched off here.</noscript>',
    `<script type="application/json" id="facts">${jsonForHtml(facts)}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function policyOf(script: string, style: string, served: boolean): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    'img-src data:',
    `connect-src ${served ? "'self'" : "'none'"}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** JSON that ends no script, whatever names of files say. */
function jsonForHtml(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
