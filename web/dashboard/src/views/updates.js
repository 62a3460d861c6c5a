// Updates: the image of this node, and the rollout through the cluster, whose counts are the engine's.

import { ask, send } from '../api.js';
import { h } from '../dom.js';
import { known } from '../live.js';
import { badge, button, facts, field, sign, span, table, why } from '../show.js';
import { order, says } from '../state.js';

const UPDATE = '/api/node/update';
const ROLLOUT = '/api/cluster/update';
/** How an image begins (docs/image.md, "The container"); what begins otherwise can only be a plan. */
const IMAGE = 'SPOR';

/** What was dropped, or chosen, and whether it is an image. @type {File | null} */
let file = null;
let isImage = false;

/** @param {File | undefined} chosen */
async function take(chosen) {
    file = chosen ?? null;
    isImage = await file?.slice(0, IMAGE.length).text() === IMAGE;
    says(file ? `${file.name}, ${file.size.toLocaleString('en')} bytes` : '');
}

/** @param {string} target @param {string} done */
const upload = (target, done) => order(done, async () => {
    await ask(target, { method: 'POST', body: /** @type {File} */ (file), signed: true, timeout: 600_000 });
    file = null;
});

/** The plan that is the file: the node verifies its signature. */
const begin = () => order('The rollout has begun.', async () => {
    const bytes = new Uint8Array(await /** @type {File} */ (file).arrayBuffer());
    await ask(ROLLOUT, { method: 'POST', body: bytes, signed: true });
    file = null;
});

const halt = () => confirm('Halt the rollout on all nodes, for good?')
    && order('The rollout is halted, on the other nodes within seconds.', () => send('DELETE', ROLLOUT));

/** What may be done with the file. */
function choices() {
    if (!file) return null;
    return h('p', { key: 'choices' }, `${file.name}: `, ...(!isImage ? [button('Begin the rollout of this plan', begin)] : [
        button('Update this node', () => upload(UPDATE, 'It is installed. The node restarts into it, on trial.')), ' ',
        button('Hold it for a rollout', () => upload(`${UPDATE}?start=no`, 'This node holds it for the others.')),
    ]));
}

/** Takes what is dropped, also beside the place for it: the browser would leave the page for the file. @param {DragEvent} event */
function drop(event) {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    if (event.type === 'drop' && document.querySelector('.drop')) take(event.dataTransfer.files[0]);
}
window.addEventListener('dragover', drop);
window.addEventListener('drop', drop);

/** Where an image is dropped. */
const place = () => h('div', { key: 'drop', class: 'drop' }, field('Drop an image here, or a plan of spore ota all --plan', {
    name: 'file', type: 'file', onchange: (/** @type {{target: HTMLInputElement}} */ { target }) => {
        take(target.files?.[0]);
        // So that the same one can be chosen again.
        target.value = '';
    },
}));

/** How far each node is. @param {any} document */
function rollout({ rollout, counts, nodes }) {
    const plan = rollout && facts([
        ['Rollout', [`${rollout.id} `, badge(rollout.state)]],
        ['Images', rollout.images.map((/** @type {any} */ { board, sequence }) => `${board} ${sequence}`).join(', ')],
        ['Waves', `canaries, then ${rollout.waves.map((/** @type {number} */ wave) => `${wave} %`).join(', ')}; each ${rollout.gate_s} s after all before are well`],
        ['Stops', `when ${rollout.max_failures} have failed`],
        ['Age', `${span(6e4 * rollout.age_min)} of ${rollout.expiry_h} h`],
    ]);
    const sorted = [...nodes].sort((a, b) => (a.wave ?? 0) - (b.wave ?? 0) || (a.hostname < b.hostname ? -1 : 1));
    return [
        plan ?? h('p', null, 'There was no rollout yet.'),
        h('ul', { class: 'counts', 'aria-label': `${nodes.length} nodes` }, Object.entries(counts).map(([name, count]) =>
            h('li', { key: name, class: count ? name : 'none' }, `${sign(name)} ${count} ${name === 'out' ? 'take no part' : name.replaceAll('_', ' ')}`))),
        rollout?.state === 'running' && h('p', null, button('Halt the rollout', halt)),
        rollout && table('How far each node is', ['Node', 'Board', 'Turn', 'State', 'Why'], sorted.map(node => ({
            key: node.id,
            class: node.state,
            cells: [
                node.hostname || node.id, node.board ?? '–',
                node.wave === 0 ? 'canary' : `wave ${node.wave}`,
                [badge(node.state, node.state.replaceAll('_', ' ') + (node.percent === null ? '' : ` ${node.percent} %`)),
                    node.percent !== null && h('progress', { max: 100, value: node.percent, 'aria-label': `Image of ${node.hostname}` })],
                why(node.reason),
            ],
        }))),
    ];
}

/** @type {import('../state.js').Shown} */
export const updates = {
    title: 'Updates',
    needs: [ROLLOUT, UPDATE],
    show() {
        const own = known(UPDATE), whole = known(ROLLOUT);
        if (!own || !whole || own.refused || whole.refused) return [h('p', null, 'Asking…')];
        const { image, upload, last } = own;
        return [
            facts([
                ['This node runs', image ? [`image ${image.sequence} `, badge(image.stage)] : 'a program that takes no updates'],
                ['Last update', last && [`image ${last.image}: `, badge(last.result), ` ${why(last.reason)}`]],
                ['Refused is', own.quarantined && `image ${own.quarantined}, which was rolled back`],
                ['Coming in', upload && h('progress', { max: upload.length || 1, value: upload.received, 'aria-label': 'Image that comes in' })],
            ]),
            place(), choices(),
            h('h3', null, 'The cluster'),
            ...rollout(whole),
        ];
    },
};
