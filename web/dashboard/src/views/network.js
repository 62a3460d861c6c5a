// The node's WiFi: how it is, what is heard, and other credentials.

import { read, send, wait } from '../api.js';
import { h } from '../dom.js';
import { NETWORK, history, known } from '../live.js';
import { badge, button, chart, facts, field, form, span, table } from '../show.js';
import { act, order, state } from '../state.js';

/** @type {any} */
let scan = null;

const look = () => act('', async () => {
    do {
        scan = await read('/api/network/scan');
        state.draw();
        if (scan.scanning) await wait(1500);
    } while (scan.scanning);
});

/** @param {string} ssid */
function choose(ssid) {
    /** @type {HTMLInputElement} */ (document.querySelector('[name=ssid]')).value = ssid;
    /** @type {HTMLInputElement} */ (document.querySelector('[name=password]')).focus();
}

/** @param {Record<string, string>} values */
const join = ({ ssid, password }) => order(
    `It tries ${ssid}, and comes back to the network from before if that does not work.`,
    () => send('PUT', '/api/network/wifi', { ssid, password }),
);

/** @type {import('../state.js').Shown} */
export const network = {
    title: 'Network',
    needs: [NETWORK],
    show() {
        const now = known(NETWORK);
        if (!now || now.refused) return [h('p', null, 'Asking…')];
        const dBm = (/** @type {number} */ value) => `${value} dBm`;
        const point = now.access_point;
        return [
            facts([
                ['State', badge(now.state)],
                ['Network', now.ssid],
                ['Signal', now.rssi !== null && [dBm(now.rssi), ' ', chart('Signal', history('signal'), dBm)]],
                ['Address', now.address && `${now.address}/${now.prefix_len}, gateway ${now.gateway ?? 'none'}`],
                ['For', span(now.since_ms)],
                ['Last failure', now.reason?.replaceAll('_', ' ')],
                ['Credentials', now.credentials],
                ['Access point', point && `${point.ssid}: ${point.open ? `open, ${point.clients} clients` : 'closed'}`],
            ]),
            now.radio !== null && h('section', null,
                h('p', null, button('Look for networks', look)),
                scan && table(scan.scanning ? 'Listening…' : `${scan.networks.length} networks`, ['Network', 'Signal', 'Channel', 'Choice'],
                    scan.networks.map((/** @type {any} */ { ssid, rssi, channel, secure }) => ({
                        key: ssid,
                        cells: [ssid + (secure ? '' : ' (open)'), dBm(rssi), channel,
                            button('Choose', () => choose(ssid), { 'aria-label': `Choose ${ssid}` })],
                    }))),
                h('h3', null, 'Join another network'),
                form({}, join,
                    field('Network name', { name: 'ssid', required: true, maxlength: 32 }),
                    field('Password (none if it is open)', { name: 'password', type: 'password', maxlength: 63 }),
                    h('button', null, 'Join'))),
        ];
    },
};
