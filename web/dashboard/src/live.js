// What is known of the cluster: the documents of the node that has served this page, fetched one after the other.

import { Refused, ask, read, wait } from './api.js';

/** Between two rounds, in milliseconds: shorter than a node keeps a connection. */
const PAUSE = 1500;
/** For one answer. A node that is silent for longer is taken for gone, within five seconds with what is waited for before. */
const PATIENCE = 2000;
/** For what a member says of itself: it is asked by the node, in each round another one. */
const ASKING = 900;
/** How many values of each history are kept, and what is drawn of it. */
const HISTORY = 120;

/** The members, and what this node says of itself: each view needs them. */
export const MEMBERS = '/api/cluster/members';
export const STATUS = '/api/node/status';
export const NETWORK = '/api/network/status';

/** The documents by their paths, as they were last. @type {Map<string, any>} */
const documents = new Map();
/** @type {Map<string, number[]>} */
const histories = new Map();

/** How the node is reached: when it last answered, since when it does not, whether it is busy. */
export const link = { answered: Date.now(), lost: false, busy: false };

/** The document at `path`, or nothing before it was there. @param {string} path */
export const known = path => documents.get(path);

/** @param {string} name */
export const history = name => histories.get(name) ?? [];

/** When members were asked, what they have said of themselves last, and when. @type {Map<string, {asked: number, at: number, figures: any}>} */
const figures = new Map();

/** The members, with what they say of themselves. @returns {any[]} */
export const members = () => (known(MEMBERS)?.members ?? []).map((/** @type {any} */ member) => {
    if (member.self) return { ...member, ...known(STATUS) };
    const said = member.status === 'active' && figures.get(member.id);
    if (!said || !said.figures) return member;
    const { uptime_ms } = said.figures, age = Date.now() - said.at;
    // Who has not answered since may have started anew.
    return said.asked > said.at ? { ...member, ...said.figures, age } : { ...member, ...said.figures, uptime_ms: uptime_ms && uptime_ms + age };
});

/** Asks the member that was asked longest ago how it is. */
async function askOne() {
    const others = members().filter(member => !member.self && member.status === 'active');
    const last = (/** @type {any} */ { id }) => figures.get(id)?.asked ?? 0;
    const next = others.sort((a, b) => last(a) - last(b))[0];
    if (!next) return;
    const answer = await ask(`${MEMBERS}/${next.id}`, { timeout: ASKING }).then(it => it.json()).catch(() => null);
    const asked = Date.now();
    figures.set(next.id, { at: 0, ...figures.get(next.id), asked, ...answer?.figures && { at: asked, figures: answer.figures } });
}

/** How a member is called. @param {string | null} id */
export const nameOf = id => members().find(member => member.id === id)?.hostname || id || '';

/** @param {string} name @param {number | null | undefined} value */
function remember(name, value) {
    if (typeof value !== 'number') return;
    const values = history(name);
    values.push(value);
    histories.set(name, values.slice(-HISTORY));
}

/** Takes in the document that is at `path` now. @param {string} path @param {any} document */
export function learn(path, document) {
    documents.set(path, document);
    if (path === MEMBERS) for (const { id, rtt_us } of document.members) remember(`rtt ${id}`, rtt_us);
    if (path === STATUS) {
        remember('memory', document.free_memory);
        remember('signal', document.rssi);
    }
}

/** Fetches the document at `path`; what has happened if the node has not answered. @param {string} path @returns {Promise<Error | null>} */
async function fetchOnce(path) {
    try {
        learn(path, await read(path, PATIENCE));
    } catch (error) {
        if (!(error instanceof Refused)) return /** @type {Error} */ (error);
        link.busy = error.retry > 0;
        if (!link.busy) documents.set(path, { refused: error });
        link.answered = Date.now();
        return null;
    }
    link.answered = Date.now();
    link.busy = false;
    return null;
}

/** Wakes the loop out of its pause. */
let wake = () => {};
export const hurry = () => wake();

/**
 * Keeps what is known up to date, for ever, and says so.
 * @param {() => string[]} wanted what the view shows besides the members
 * @param {() => void} told
 */
export async function follow(wanted, told) {
    document.addEventListener('visibilitychange', hurry);
    for (let round = 0; ; round++) {
        // Nobody looks: the node is left in peace.
        while (document.hidden) await new Promise(woken => wake = () => woken(undefined));
        const paths = [...new Set([...wanted(), ...(round % 4 ? [] : [MEMBERS, STATUS])])];
        // Something is asked in each round, so that silence is noticed.
        if (paths.length === 0) paths.push(NETWORK);
        for (const path of paths) {
            let error = await fetchOnce(path);
            // A connection that was kept may be closed just when it is used again.
            if (error && error.name !== 'TimeoutError') {
                await wait(300);
                error = await fetchOnce(path);
            }
            link.lost = error !== null;
            told();
            if (link.lost) break;
        }
        if (!link.lost && paths.includes(MEMBERS)) {
            await askOne();
            told();
        }
        await Promise.race([wait(PAUSE), new Promise(woken => wake = () => woken(undefined))]);
    }
}
