// Requests to the node that has served this page. Those that must be are signed (docs/api.md, "Signed requests").

import { hex, hmac, sha256, unhex } from './sha256.js';

/** The node's answer, where that is a refusal. */
export class Refused extends Error {
    /** @param {Response} answer @param {{code?: string, message?: string, field?: string}} error */
    constructor(answer, error) {
        super(error.message ?? `it answers ${answer.status}`);
        this.status = answer.status;
        this.code = error.code ?? '';
        this.field = error.field;
        /** When to ask again, in milliseconds: who has lost his seat to another (408) may come back like who has found none (503). */
        this.retry = 1000 * Number(answer.headers.get('Retry-After') ?? answer.status === 408);
    }
}

/** Where the tab keeps what it signs with: the key that is derived from the cluster key for requests, which opens no datagrams. */
const PLACE = 'spore-signing-key';
let signing = sessionStorage.getItem(PLACE);

export const isUnlocked = () => signing !== null;

/** Signs from now on with what `clusterKey`, 64 hexadecimal digits, leads to; with nothing without it. @param {string} [clusterKey] */
export function unlock(clusterKey) {
    signing = clusterKey ? hex(hmac(unhex(clusterKey), 'SPORE HTTP request signing 1')) : null;
    if (signing) sessionStorage.setItem(PLACE, signing);
    else sessionStorage.removeItem(PLACE);
}

/** @param {number} ms */
export const wait = ms => new Promise(done => setTimeout(done, ms));

/**
 * @typedef {object} Asking
 * @property {string} [method]
 * @property {string | Uint8Array<ArrayBuffer> | Blob} [body] an image is a `Blob`, which is signed by itself: its request is signed without it
 * @property {boolean} [signed]
 * @property {number} [timeout] for the whole answer, in milliseconds; 0 is none
 * @property {AbortSignal} [signal]
 */

/**
 * The node's answer to one request.
 * @param {string} target path and query
 * @param {Asking} [asking]
 * @returns {Promise<Response>}
 * @throws {Refused} if the answer is none of success
 * @throws {TypeError | DOMException} if there is none
 */
export async function ask(target, { method = 'GET', body, signed, timeout = 20_000, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (signed) {
        if (!signing) throw new Error('the cluster key is needed for this');
        const { nonce } = await read('/api/auth/nonce');
        const digest = sha256(body instanceof Blob ? '' : body ?? '');
        const mac = hmac(unhex(signing), [method, target, nonce, hex(digest)].join('\n'));
        headers.Authorization = `SPORE-HMAC-SHA256 nonce=${nonce}, mac=${hex(mac)}`;
    }
    if (timeout) signal = AbortSignal.timeout(timeout);
    const answer = await fetch(target, { method, headers, body, signal, cache: 'no-store' });
    if (answer.ok) return answer;
    const document = await answer.json().catch(() => ({}));
    throw new Refused(answer, document.error ?? {});
}

/**
 * The document at `target`. A node that is busy is asked again, as it wishes.
 * @param {string} target
 * @param {number} [timeout]
 */
export async function read(target, timeout) {
    for (let turn = 0; ; turn++) {
        try {
            return await (await ask(target, { timeout })).json();
        } catch (error) {
            const busy = error instanceof Refused && error.retry;
            if (!busy || turn > 4) throw error;
            // Not all pages at the same time.
            await wait(busy * (0.5 + Math.random()));
        }
    }
}

/** The answer to a signed request with `value` as its body. @param {string} method @param {string} target @param {unknown} [value] */
export async function send(method, target, value) {
    const body = value === undefined ? undefined : JSON.stringify(value);
    return (await ask(target, { method, body, signed: true })).json();
}
