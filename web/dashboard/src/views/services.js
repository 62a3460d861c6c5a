// What the members offer. Services of this node have a form to call them; those of others are at their own pages.

import { ask, Refused } from '../api.js';
import { h } from '../dom.js';
import { STATUS, known } from '../live.js';
import { badge, field, form, pageOf } from '../show.js';
import { act, order, says, state } from '../state.js';

const SERVICES = '/api/cluster/services';

/** What services have answered. @type {Map<string, string>} */
const answers = new Map();

/** @param {{name: string, policy: string}} service @param {Record<string, string>} values */
async function call({ name, policy }, { method, path, body }) {
    const target = `/api/services/${name}${path && !/^[/?]/.test(path) ? '/' : ''}${path}`;
    const done = `${name} has answered.`;
    await (policy === 'open' ? act : order)(done, async () => {
        try {
            const asking = { method, body: method === 'GET' ? undefined : body, signed: policy !== 'open' };
            const answer = await ask(target, asking);
            answers.set(name, `${answer.status} ${await answer.text()}`);
        } catch (error) {
            if (error instanceof Refused) answers.set(name, `${error.status} ${error.code}`);
            throw error;
        }
    });
    state.draw();
}

/** @param {{name: string, policy: string, summary: string}} service */
const own = service => form({ class: 'line' }, values => {
    says('');
    call(service, values);
},
    field('Method', { tag: 'select', name: 'method' }, ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'].map(method => h('option', null, method))),
    field('Path behind it', { name: 'path', placeholder: 'none' }),
    field('Body', { name: 'body' }),
    h('button', null, 'Call'));

/** @type {import('../state.js').Shown} */
export const services = {
    title: 'Services',
    needs: [SERVICES, STATUS],
    show() {
        const document = known(SERVICES), here = known(STATUS)?.services ?? [];
        if (!document || document.refused) return [h('p', null, 'Asking…')];
        return document.services.map((/** @type {any} */ { id, name, providers }) => {
            const mine = here.find((/** @type {any} */ service) => service.name === name);
            return h('section', { key: id },
                h('h3', null, name ?? `? (${id})`),
                mine && h('p', null, mine.summary, mine.policy === 'signed' && ' (needs the key)'),
                h('p', null, 'Offered by ', ...providers.flatMap((/** @type {any} */ provider) =>
                    [pageOf(provider, '#services'), ' ', badge(provider.status), ' '])),
                mine && own(mine),
                answers.has(name) && h('pre', { tabindex: 0, 'aria-label': `Answer of ${name}` }, answers.get(name)));
        });
    },
};
