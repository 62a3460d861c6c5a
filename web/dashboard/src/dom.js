// Elements as values, and how the document becomes like them. What a node says becomes text nodes and attributes, never markup.

/**
 * @typedef {{tag: string, props: Record<string, any>, kids: Kid[]}} View
 * @typedef {View | string | number | null | undefined | false} Kid
 */

const SVG = new Set(['svg', 'g', 'line', 'polyline', 'text', 'title']);

/**
 * An element. A property `on…` is a handler, `key` tells it from its siblings, and `value` or `checked` is what it has at first.
 * @param {string} tag
 * @param {Record<string, any> | null} props
 * @param {...(Kid | Kid[])} kids
 * @returns {View}
 */
export const h = (tag, props, ...kids) => ({ tag, props: props ?? {}, kids: kids.flat() });

/** What an element was made from. @type {WeakMap<Node, View>} */
const made = new WeakMap();

/** Makes `kids` of what `parent` has: elements that stay are changed, so that they keep focus and what was typed. @param {Node} parent @param {Kid[]} kids */
export function patch(parent, kids) {
    const old = [...parent.childNodes];
    const keyed = new Map(old.map(node => [made.get(node)?.props.key, node]));
    /** @type {Node | null} */
    let next = parent.firstChild;
    const used = new Set();
    for (const kid of kids) {
        if (kid === null || kid === undefined || kid === false) continue;
        /** @type {Node | null | undefined} */
        let node;
        if (typeof kid === 'object') {
            const { tag, props: { key } } = kid;
            const fits = (/** @type {Node | null | undefined} */ node) => {
                const view = node && !used.has(node) && made.get(node);
                return view && view.tag === tag && view.props.key === key;
            };
            node = key === undefined ? next : keyed.get(key);
            if (!fits(node)) node = create(tag, parent);
            change(/** @type {Element} */ (node), kid);
        } else {
            node = next instanceof Text && !used.has(next) ? next : document.createTextNode('');
            const text = String(kid);
            if (node.nodeValue !== text) node.nodeValue = text;
        }
        used.add(node);
        if (node === next) next = next?.nextSibling ?? null;
        else parent.insertBefore(/** @type {Node} */ (node), next);
    }
    for (const node of old) if (!used.has(node)) parent.removeChild(node);
}

/** @param {string} tag @param {Node} parent */
function create(tag, parent) {
    const svg = SVG.has(tag) && (tag !== 'title' || parent instanceof SVGElement);
    return svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
}

/** @param {any} node @param {View} view */
function change(node, view) {
    const before = made.get(node)?.props ?? {};
    for (const name of Object.keys({ ...before, ...view.props })) {
        const value = view.props[name];
        if (name === 'key' || value === before[name]) continue;
        if (name.startsWith('on') || name === 'value' || name === 'checked') node[name] = value;
        else if (value === undefined || value === null || value === false) node.removeAttribute(name);
        else node.setAttribute(name, value === true ? '' : value);
    }
    made.set(node, view);
    patch(node, view.kids);
}
