// What the node does by itself, and the controls of it.

import { send } from '../api.js';
import { h } from '../dom.js';
import { known, nameOf } from '../live.js';
import { badge, button, field, form, micros, span, table } from '../show.js';
import { order } from '../state.js';

const TASKS = '/api/tasks';

/** @param {string} name @param {object} wanted @param {string} done */
const change = (name, wanted, done) => order(`${name} ${done}.`, () => send('PATCH', `${TASKS}/${name}`, wanted));

/** @param {any} task */
function controls({ name, enabled, interval_ms, schedule }) {
    if (name === 'probe' || name === 'listen-discovery') return 'keeps the node in the cluster';
    return [
        enabled ? button('Pause', () => change(name, { enabled: false }, 'is paused'), { 'aria-label': `Pause ${name}` })
            : button('Resume', () => change(name, { enabled: true }, 'goes on'), { 'aria-label': `Resume ${name}` }),
        button('Run now', () => change(name, { run: true }, 'was run'), { 'aria-label': `Run ${name} now` }),
        schedule === 'periodic' && form({ class: 'line' }, ({ seconds }) =>
            change(name, { interval_ms: Math.round(1000 * Number(seconds)) }, `runs every ${seconds} s`),
        field('Every (s)', { name: 'seconds', type: 'number', min: 0.01, max: 604800, step: 'any', required: true, placeholder: interval_ms / 1000 }),
        h('button', { 'aria-label': `Set the interval of ${name}` }, 'Set')),
    ];
}

/** @type {import('../state.js').Shown} */
export const tasks = {
    title: 'Tasks',
    needs: [TASKS],
    show() {
        const all = known(TASKS)?.tasks;
        if (!all) return [h('p', null, 'Asking…')];
        const heads = ['Task', 'State', 'Schedule', 'Runs', 'Missed', 'Last, longest', 'Next', 'Control'];
        return [table('Tasks of this node', heads, all.map((/** @type {any} */ task) => ({
            key: task.name,
            cells: [
                [h('b', null, task.name), ` ${task.summary}`],
                task.enabled ? badge('active', task.running ? 'runs now' : 'on') : badge('left', 'paused'),
                [task.interval_ms === null ? task.schedule : `every ${span(task.interval_ms)}`,
                    task.clustered && `, for the cluster by ${nameOf(task.owner) || 'nobody'}`],
                task.runs, task.missed,
                `${micros(task.last_us)}, ${micros(task.longest_us)}`,
                task.next_ms === null ? '–' : `in ${span(task.next_ms)}`,
                controls(task),
            ],
        })))];
    },
};
