// The node that has served the page: what it says of itself, and what can be done with it.

import { send } from '../api.js';
import { h } from '../dom.js';
import { STATUS, history, known } from '../live.js';
import { badge, button, bytes, chart, facts, field, form, span } from '../show.js';
import { order } from '../state.js';

const restart = () => order('It restarts, and is back in some seconds.', () => send('POST', '/api/node/restart'));

/** @param {Record<string, string>} values */
const rename = ({ hostname }) => order(`It is called ${hostname} from now on.`, () => send('PUT', '/api/node/config', { hostname }));

/** @type {import('../state.js').Shown} */
export const node = {
    title: 'This node',
    needs: [STATUS],
    show() {
        const own = known(STATUS);
        if (!own || own.refused) return [h('p', null, 'Asking…')];
        const dBm = (/** @type {number} */ value) => `${value} dBm`;
        return [
            facts([
                ['Name', own.hostname],
                ['Id', own.id],
                ['Address', `${own.address}:${own.http_port}`],
                ['Board', own.board],
                ['Version', own.version + (own.image ? `, image ${own.image}` : '')],
                ['Up for', span(own.uptime_ms)],
                ['Started after', own.reset_reason],
                ['Safe mode', own.safe_mode && '▲ yes: it has crashed again and again, and runs no sprockets'],
                ['Free memory', [bytes(own.free_memory), ' ', chart('Free memory', history('memory'), bytes)]],
                ['Signal', own.rssi ? [dBm(own.rssi), ' ', chart('Signal', history('signal'), dBm)] : 'wired'],
                ['Claimed', own.claim_damaged ? '✕ the claim is damaged' : own.claimed ? 'yes' : '▲ no: it joins nobody'],
                ['Datagrams', Object.entries(own.datagrams).map(([name, count]) => `${count} ${name}`).join(', ')],
            ]),
            own.sprockets.length > 0 && h('h3', null, 'Sprockets'),
            h('ul', null, own.sprockets.map((/** @type {any} */ it) => h('li', { key: it.name },
                `${it.name} `, badge(it.state), it.message && ` ${it.message}`, ` ${it.runs} runs, ${it.slow} slow`))),
            h('h3', null, 'Settings'),
            form({ class: 'line' }, rename, field('Name', { name: 'hostname', required: true, maxlength: 32, placeholder: own.hostname }), h('button', null, 'Rename')),
            h('p', null, button('Restart this node', restart)),
            h('details', null, h('summary', null, `${own.endpoints.length} endpoints`),
                h('ul', { class: 'mono' }, own.endpoints.map((/** @type {any} */ { method, path, policy }) =>
                    h('li', { key: method + path }, `${method} ${path} (${policy})`)))),
        ];
    },
};
