// The members of the cluster, as the node sees them: a map, and a table with the figures.

import { h } from '../dom.js';
import { history, members, nameOf } from '../live.js';
import { badge, bytes, chart, micros, pageOf, sign, span, table } from '../show.js';

/** The others around this node: the farther, the longer they took to answer. @param {any[]} all */
function map(all) {
    const others = all.filter(member => !member.self);
    const places = others.map((member, index) => {
        const angle = 2 * Math.PI * index / others.length;
        const far = Math.min(1, Math.max(0, Math.log10((member.rtt_us ?? 1e6) / 300) / 3));
        return { member, x: 160 + (70 + 70 * far) * Math.sin(angle), y: 80 - (35 + 30 * far) * Math.cos(angle) };
    });
    const few = others.length <= 16;
    const said = ['active', 'suspect', 'dead', 'left'].map(status => [all.filter(member => member.status === status).length, status])
        .filter(([count]) => count).map(pair => pair.join(' ')).join(', ');
    return h('svg', { viewBox: '0 6 320 150', role: 'img', class: 'map', 'aria-label': `Map of ${all.length} members: ${said}` },
        ...places.map(({ member, x, y }) => h('line', { key: `line ${member.id}`, x1: 160, y1: 80, x2: x, y2: y, class: member.status })),
        ...[...places, { member: all.find(member => member.self), x: 160, y: 80 }].filter(({ member }) => member).map(({ member, x, y }) =>
            h('g', { key: member.id, class: member.status },
                h('title', null, `${member.hostname}: ${member.status}`),
                h('text', { x, y: y + 4, class: 'sign' }, member.self ? '◆' : sign(member.status)),
                (few || member.self) && h('text', { x, y: y + 14 }, member.hostname))));
}

/** How old what a member has said of itself is, where it has not answered since. @param {string} text @param {any} member */
const aged = (text, { age }) => age && text !== '–' ? `${text} (${span(age)} ago)` : text;

/** What is shown of a member. @type {Record<string, (member: any) => import('../show.js').Kid | import('../show.js').Kid[]>} */
const COLUMNS = {
    'Node': member => [pageOf(member), member.self && ' (this node)'],
    'Status': member => badge(member.status),
    'Round trip': member => [micros(member.rtt_us), ' ', chart(`Round trip to ${member.hostname}`, history(`rtt ${member.id}`), micros)],
    'Last seen': member => member.self ? 'now' : span(member.last_seen_ms),
    'Up for': member => aged(span(member.uptime_ms), member),
    'Started after': member => member.reset_reason ?? '–',
    'Free memory': member => aged(bytes(member.free_memory), member),
    'Signal': member => typeof member.rssi === 'number' ? aged(`${member.rssi} dBm`, member) : '–',
    'Version': member => `${member.board ?? ''} ${member.version ?? '–'}`,
    'Address': member => `${member.address}:${member.http_port}`,
};

/** @type {import('../state.js').Shown} */
export const cluster = {
    title: 'Members',
    needs: ['/api/cluster/members'],
    show() {
        const all = members();
        if (all.length === 0) return [h('p', null, 'Asking…')];
        // What only the node itself tells is in its own view.
        const columns = Object.entries(COLUMNS).filter(([, show]) => all.length < 2 || all.some(member => !member.self && show(member) !== '–'));
        return [
            map(all),
            table(`${all.length} members, as ${nameOf(all.find(member => member.self)?.id)} sees them`, columns.map(([head]) => head), all.map(member => ({
                key: member.id,
                cells: columns.map(([, show]) => show(member)),
            }))),
        ];
    },
};
