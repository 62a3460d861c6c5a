// What the parts of the page have in common.

import { Refused, isUnlocked } from './api.js';
import { hurry } from './live.js';

/**
 * A view: its title, the documents that it shows, and how.
 * @typedef {{title: string, needs: string[], show: () => import('./dom.js').Kid[]}} Shown
 */

/** What was said last, whether that was bad, and how to show what has changed. */
export const state = { said: '', bad: false, draw: () => {} };

/** @param {string} text @param {boolean} [bad] */
export function says(text, bad = false) {
    Object.assign(state, { said: text, bad });
    state.draw();
}

/** Does what somebody has asked for, and says what came of it. @param {string} done @param {() => Promise<unknown>} what */
export async function act(done, what) {
    says('…');
    try {
        await what();
        says(done);
        hurry();
        return true;
    } catch (error) {
        const { message = String(error), code, field } = /** @type {Partial<Refused>} */ (error);
        says(`✕ ${message}${field ? ` (${field})` : ''}${code ? ` [${code}]` : ''}`, true);
        return false;
    }
}

/** The same, where it must be signed: without a key, the place to type it is shown. @param {string} done @param {() => Promise<unknown>} what */
export async function order(done, what) {
    if (isUnlocked()) return act(done, what);
    says('✕ Type the cluster key first.', true);
    /** @type {HTMLElement | null} */ (document.querySelector('[name=key]'))?.focus();
    return false;
}
