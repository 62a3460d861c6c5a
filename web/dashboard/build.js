// Makes the page that nodes serve, `dist/index.html` or the file that is named: one document with its style and its script, which its content
// security policy names by their hashes. Nothing else is run, and nothing comes from elsewhere.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

const here = path => fileURLToPath(new URL(path, import.meta.url));

/** What esbuild makes of the file at `path`. */
function bundle(path) {
    const { outputFiles } = esbuild.buildSync({
        entryPoints: [here(path)],
        bundle: true,
        minify: true,
        write: false,
        charset: 'utf8',
        legalComments: 'none',
        format: 'iife',
        target: ['chrome103', 'firefox101', 'safari16'],
    });
    return outputFiles[0].text.trim();
}

const hash = text => createHash('sha256').update(text).digest('base64');

const style = bundle('src/style.css');
const script = bundle('src/main.js');
for (const text of [style, script]) {
    if (/<\/(style|script)|<!--/i.test(text)) throw new Error('what ends its element cannot stand in it');
}
const policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    + `script-src 'sha256-${hash(script)}'; style-src 'sha256-${hash(style)}'`;
const page = readFileSync(here('src/index.html'), 'utf8')
    .replace(/\n\s*/g, '')
    .replace('POLICY', () => policy)
    .replace('STYLE', () => style)
    .replace('SCRIPT', () => script);
writeFileSync(process.argv[2] ?? here('dist/index.html'), page);
