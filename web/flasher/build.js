// Makes what `spore up` and `spore gateway` serve to flash boards, in `dist` or the folder that is named: the page, its style, its script with
// esp-web-tools in it, and the licences of all that is in the script. Nothing comes from elsewhere.

import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here('dist');
mkdirSync(folder, { recursive: true });

const { metafile } = esbuild.buildSync({
    entryPoints: [here('src/flasher.js'), here('src/style.css')],
    outdir: folder,
    absWorkingDir: here('.'),
    bundle: true,
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    format: 'esm',
    metafile: true,
    // The first with Web Serial, but for the style.
    target: ['chrome103', 'firefox101', 'safari16'],
});
copyFileSync(here('src/index.html'), `${folder}/index.html`);

/** The folder of the package that has the file at `path`; undefined if that is ours. */
const packageOf = path => /^node_modules\/(@[^/]+\/[^/]+|[^/]+)/.exec(path)?.[0];

const packages = [...new Set(Object.keys(metafile.inputs).map(packageOf))].filter(it => it).sort();
const licenses = packages.map(path => {
    const { name, version, license } = JSON.parse(readFileSync(here(`${path}/package.json`), 'utf8'));
    const files = readdirSync(here(path)).filter(it => /^licen[cs]e/i.test(it)).sort();
    if (files.length === 0) throw new Error(`${name} comes without the text of its licence`);
    const texts = files.map(it => readFileSync(here(`${path}/${it}`), 'utf8').trim());
    return `${name} ${version}: ${license}\n\n${texts.join('\n\n')}\n`;
});
writeFileSync(`${folder}/licenses.txt`, licenses.join(`\n${'-'.repeat(80)}\n\n`));
