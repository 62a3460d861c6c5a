// The page: which view is shown, whether the node answers, and the key.

import { Refused, ask, isUnlocked, unlock } from './api.js';
import { h, patch } from './dom.js';
import { STATUS, follow, hurry, known, link, members } from './live.js';
import { age, button, field, form, pageOf, span } from './show.js';
import { act, says, state } from './state.js';
import { events, listen } from './views/events.js';
import { cluster } from './views/members.js';
import { network } from './views/network.js';
import { node } from './views/node.js';
import { services } from './views/services.js';
import { tasks } from './views/tasks.js';
import { updates } from './views/updates.js';

/** @type {Record<string, import('./state.js').Shown>} */
const VIEWS = { members: cluster, node, services, events, tasks, network, updates };

const page = /** @type {HTMLElement} */ (document.getElementById('page'));

/** The name of the view that the address asks for. */
const asked = () => Object.hasOwn(VIEWS, location.hash.slice(1)) ? location.hash.slice(1) : 'members';

/** Says that the node is gone, and where one could go. */
function banner() {
    if (!link.lost) return null;
    const others = members().filter(member => !member.self && member.status === 'active');
    return h('div', { class: 'banner' },
        h('p', { role: 'alert' }, `✕ ${known(STATUS)?.hostname ?? 'This node'} does not answer.`),
        h('p', null, `What is shown is ${span(age())} old; this page goes on by itself when the node is back. `,
            others.length > 0 && 'These were there: ', ...others.slice(0, 12).flatMap(other => [pageOf(other, location.hash), ' '])));
}

/** Where the key is typed. */
function lock() {
    if (isUnlocked()) return button('Forget the key', () => { unlock(); tune(); draw(); });
    return form({ class: 'lock' }, async ({ key }, form) => {
        key = key.trim().toLowerCase();
        if (!/^[0-9a-f]{64}$/.test(key)) return says('A cluster key has 64 hexadecimal digits; spore key show prints it.', true);
        unlock(key);
        await act('The key fits. It stays in this tab, and is never sent.', async () => {
            try {
                await ask('/api/node/config', { signed: true });
            } catch (error) {
                if (error instanceof Refused && error.status < 500) unlock();
                throw error instanceof Refused && error.code === 'credentials_invalid' ? new Error('this is the key of another cluster, or an old one') : error;
            }
            form.reset();
            tune();
        });
    }, field('Cluster key', { name: 'key', type: 'password', required: true }), h('button', null, 'Unlock'));
}

/** Makes the document what there is to show. */
function draw() {
    const name = asked(), own = known(STATUS);
    document.title = own ? `${own.hostname} – SPORE` : 'SPORE';
    patch(page, [
        h('header', null,
            h('h1', null, 'SPORE ', h('small', null, own ? own.hostname : '…')),
            h('nav', { 'aria-label': 'Views' }, Object.keys(VIEWS).map(view => h('a', {
                key: view, href: `#${view}`, 'aria-current': view === name && 'page',
            }, view[0].toUpperCase() + view.slice(1)))),
            lock()),
        h('p', { role: 'status', id: 'said', class: state.bad && 'bad' }, state.said),
        banner(),
        link.busy && h('p', { class: 'note' }, 'The node is busy with others, and is asked again.'),
        h('main', { class: link.lost && 'stale', key: name, 'aria-labelledby': 'view' },
            h('h2', { id: 'view' }, VIEWS[name].title), ...VIEWS[name].show()),
    ]);
}

state.draw = draw;
/** Listens while somebody looks: a board has one stream for all pages. */
const tune = () => listen(asked() === 'events' && !document.hidden);
window.addEventListener('hashchange', () => { says(''); tune(); hurry(); });
document.addEventListener('visibilitychange', tune);
// The age of what is shown goes on where nothing else does.
setInterval(() => link.lost && draw(), 1000);
draw();
tune();
/** Whether the node was gone when it was asked last. */
let wasLost = false;
follow(() => VIEWS[asked()].needs, () => {
    // What was listened to before may never end.
    if (wasLost && !link.lost) tune();
    wasLost = link.lost;
    draw();
});
