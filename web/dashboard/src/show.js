// How values are shown.

import { h } from './dom.js';
import { link } from './live.js';

/** @typedef {import('./dom.js').Kid} Kid */

/** A time span, of which two digits are enough. @param {number | null | undefined} ms */
export function span(ms) {
    if (typeof ms !== 'number') return '–';
    for (const [unit, size] of /** @type {[string, number][]} */ ([['d', 864e5], ['h', 36e5], ['min', 6e4], ['s', 1e3]])) {
        if (ms >= 2 * size || unit === 's') return `${Math.floor(ms / size)} ${unit}`;
    }
    return '';
}

/** Microseconds. @param {number | null | undefined} us */
export const micros = us => typeof us !== 'number' ? '–' : us < 1e4 ? `${us} µs` : `${Math.round(us / 1e3)} ms`;

/** @param {number | null | undefined} count */
export const bytes = count => typeof count !== 'number' ? '–'
    : count < 1e6 ? `${count.toLocaleString('en')} B` : `${(count / 1e6).toLocaleString('en', { maximumFractionDigits: 0 })} MB`;

/** The sign of a state, which stands beside its name: none is told by its colour alone. @type {Record<string, string>} */
const SIGNS = {
    active: '●', suspect: '▲', dead: '✕', left: '○', running: '●', failed: '✕', quarantined: '✕', updated: '●',
    rolled_back: '↩', absent: '○', away: '○', pending: '…', halted: '■', connected: '●',
};

/** @param {string} state */
export const sign = state => SIGNS[state] ?? '·';

/** @param {string} state @param {string} [text] */
export const badge = (state, text = state.replaceAll('_', ' ')) => h('span', { class: `badge ${state}` }, `${sign(state)} ${text}`);

/** Why an image was not kept. @type {Record<string, string>} */
const REASONS = {
    not_started: 'it crashed, hung, or lost its power', no_network: 'its network did not come up', no_peer: 'no other member has heard of it',
    refused: 'it does not take the image', flash: 'its flash does not hold the image',
};

/** @param {string | null} reason */
export const why = reason => REASONS[reason ?? ''] ?? reason ?? '';

/** How old what is shown is, while the node does not answer. */
export const age = () => Date.now() - link.answered;

/** The page of a member. @param {{address: string, http_port: number, hostname: string, id: string, self?: boolean}} member @param {string} [view] */
export const pageOf = (member, view = '') => h('a', {
    href: member.self ? '#node' : `http://${member.address}${member.http_port === 80 ? '' : `:${member.http_port}`}/${view}`,
}, member.hostname || member.id);

/**
 * A small chart of what was seen since the page is open.
 * @param {string} name @param {number[]} values @param {(value: number) => string} text
 */
export function chart(name, values, text) {
    if (values.length < 2) return null;
    const least = Math.min(...values), most = Math.max(...values);
    const points = values.map((value, index) => {
        const x = 100 * index / (values.length - 1), y = most > least ? 22 - 20 * (value - least) / (most - least) : 12;
        return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    const said = `${name}: ${text(least)} to ${text(most)}, now ${text(values[values.length - 1])}`;
    return h('svg', { viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': said, class: 'chart' },
        h('title', null, said), h('polyline', { points: points.join(' ') }));
}

/** Names and values; those of no value are left out. @param {[string, Kid | Kid[]][]} rows */
export const facts = rows => h('dl', null, rows.filter(([, value]) => value).map(([name, value]) =>
    h('div', { key: name }, h('dt', null, name), h('dd', null, ...(Array.isArray(value) ? value : [value])))));

/**
 * A table, whose rows become cards where it is narrow.
 * @param {string} caption @param {string[]} heads @param {{key: string, cells: (Kid | Kid[])[], class?: string}[]} rows
 */
export const table = (caption, heads, rows) => h('table', null,
    h('caption', null, caption),
    h('thead', null, h('tr', null, heads.map(head => h('th', { scope: 'col' }, head)))),
    h('tbody', null, rows.map(({ key, cells, class: kind }) => h('tr', { key, class: kind }, cells.map((cell, index) =>
        h('td', { 'data-head': heads[index] }, ...(Array.isArray(cell) ? cell : [cell])))))));

/** @param {string} text @param {() => unknown} onclick @param {Record<string, any>} [more] */
export const button = (text, onclick, more) => h('button', { type: 'button', onclick, ...more }, text);

/** A field with its label. @param {string} label @param {Record<string, any>} props @param {Kid[]} kids */
export const field = (label, props, kids = []) => h('label', { key: props.name }, label,
    h(props.tag ?? 'input', { autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', ...props, tag: undefined }, ...kids));

/**
 * A form, whose values go to `done`.
 * @param {Record<string, any>} props @param {(values: Record<string, string>, form: HTMLFormElement) => unknown} done @param {Kid[]} kids
 */
export const form = (props, done, ...kids) => h('form', {
    ...props,
    onsubmit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        const form = /** @type {HTMLFormElement} */ (event.target);
        const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
        done(values, form);
    },
}, ...kids);
