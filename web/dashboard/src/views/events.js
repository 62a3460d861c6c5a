// The events of the cluster as they come, and a form to publish one. A board has one stream: who does not get it, or has no key,
// is shown what the node has noted instead.

import { ask, isUnlocked, Refused, send, wait } from '../api.js';
import { h } from '../dom.js';
import { known, link, nameOf } from '../live.js';
import { field, form, span, table } from '../show.js';
import { order, state } from '../state.js';

const LOG = '/api/node/log';
/** How many events are kept. */
const KEPT = 200;
/** A stream that is silent for longer is opened anew, in milliseconds: a node sends something every 15 s. */
const SILENCE = 40_000;

/** @type {{key: string, time: string, topic: string, publisher: string, payload: string}[]} */
let seen = [];
/** What is listened to, what of it is shown, and how that goes. */
let filter = '', contains = '', standing = '';
let last = '';
/** @type {AbortController | null} */
let stream = null;
/** When the stream has been silent for too long. @type {ReturnType<typeof setTimeout> | undefined} */
let silence;

/** The stream is not silent. */
function heard() {
    clearTimeout(silence);
    silence = setTimeout(() => listen(true), SILENCE);
}

/** Begins to listen, anew if it did already, or ends. @param {boolean} on */
export async function listen(on) {
    clearTimeout(silence);
    stream?.abort();
    stream = null;
    if (!on) return;
    const own = stream = new AbortController();
    standing = 'the stream is being opened';
    while (stream === own) {
        let pause = 2000;
        if (isUnlocked()) {
            try {
                heard();
                const query = [filter && `topic=${encodeURIComponent(filter)}`, last && `after=${last}`].filter(Boolean).join('&');
                const answer = await ask(`/api/events${query && '?'}${query}`, { signed: true, timeout: 0, signal: own.signal });
                standing = 'live';
                state.draw();
                await receive(/** @type {ReadableStream<Uint8Array>} */ (answer.body));
                standing = 'the stream has ended, and is taken up again';
            } catch (error) {
                // Another one is listened to, or none.
                if (stream !== own) return;
                const refused = error instanceof Refused ? error : null;
                if (refused?.status === 503) standing = 'another page has the stream: this is what the node notes';
                else standing = refused ? `✕ ${refused.message}` : 'the node does not answer';
                pause = Math.max(pause, refused?.retry ?? 0);
            }
        } else standing = 'what the node notes; the key opens the live stream';
        if (stream === own) state.draw();
        await wait(pause);
    }
}

/** Takes in server-sent events (WHATWG HTML, section 9.2). @param {ReadableStream<Uint8Array>} body */
async function receive(body) {
    const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
    let rest = '';
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        heard();
        const parts = (rest + value).split('\n\n');
        rest = parts.pop() ?? '';
        for (const part of parts) {
            /** @type {Record<string, string>} */
            const fields = {};
            for (const line of part.split('\n')) {
                const [, name, text] = /^(\w+): ?(.*)$/.exec(line) ?? [];
                if (name) fields[name] = text;
            }
            if (fields.id) last = fields.id;
            if (fields.data) take(fields.event, JSON.parse(fields.data));
        }
        state.draw();
    }
}

/** @param {string} topic @param {any} event */
function take(topic, event) {
    const payload = 'payload_hex' in event ? `0x${event.payload_hex}` : event.payload;
    seen.unshift({
        key: `${last} ${seen.length} ${Math.random()}`,
        time: new Date().toLocaleTimeString(),
        topic,
        publisher: event.publisher ?? '',
        payload: 'count' in event ? `${event.count} lost` : JSON.stringify(payload),
    });
    seen = seen.slice(0, KEPT);
}

/** @param {Record<string, string>} values @param {HTMLFormElement} form */
const publish = ({ topic, payload, scope, retained }, form) => order(`${topic} is published.`, async () => {
    /** @type {unknown} */
    let value = payload;
    try {
        value = JSON.parse(payload);
    } catch {
        // It is a text.
    }
    await send('POST', '/api/events', { topic, payload: value, scope, retained: Boolean(retained) });
    form.reset();
});

/** What the node has noted, as events. */
const noted = () => (known(LOG)?.log ?? []).slice().reverse().map((/** @type {any} */ entry) => ({
    key: `log ${entry.seq}`,
    time: `${span(entry.uptime_ms)} after its start`,
    topic: entry.event,
    publisher: entry.member ?? '',
    payload: entry.count > 1 ? `${entry.count} times` : '',
}));

/** @type {import('../state.js').Shown} */
export const events = {
    title: 'Events',
    get needs() { return standing === 'live' ? [] : [LOG]; },
    show() {
        const rows = (standing === 'live' ? seen : noted()).filter((/** @type {any} */ row) =>
            `${row.topic} ${nameOf(row.publisher)} ${row.payload}`.includes(contains));
        return [
            form({ class: 'line' }, values => {
                if (filter !== values.filter) [seen, last] = [[], ''];
                [filter, contains] = [values.filter, values.contains];
                listen(true);
                state.draw();
            },
                field('Topics (+ and # stand for any)', { name: 'filter', placeholder: '#' }),
                field('Only with this text', { name: 'contains' }),
                h('button', null, 'Show')),
            h('p', { class: 'note' }, link.lost ? '▲ the node does not answer' : `${standing === 'live' ? '●' : '▲'} ${standing}`),
            h('details', null, h('summary', null, 'Publish an event'), form({}, publish,
                field('Topic', { name: 'topic', required: true, maxlength: 48 }),
                field('Payload (JSON, or else a text)', { name: 'payload' }),
                field('For', { tag: 'select', name: 'scope' }, [h('option', { value: 'cluster' }, 'the cluster'), h('option', { value: 'local' }, 'this node')]),
                h('label', null, h('input', { type: 'checkbox', name: 'retained' }), ' Kept for who comes later'),
                h('button', null, 'Publish'))),
            table(`${rows.length} events, the last first`, ['Time', 'Topic', 'From', 'Payload'], rows.map((/** @type {any} */ row) => ({
                key: row.key,
                cells: [row.time, row.topic, nameOf(row.publisher), row.payload],
            }))),
        ];
    },
};
