// The page that flashes a board: it asks what the board is to know, has this machine's `spore` make it, and gives both to esp-web-tools.

import { connect } from 'esp-web-tools/dist/connect.js';

/** @param {string} id @returns {any} */
const $ = id => document.getElementById(id);

/** @param {string} text */
const complain = text => {
    $('trouble').textContent = text;
    $('trouble').hidden = !text;
};

/**
 * Asks the program that serves this page.
 * @param {string} path @param {RequestInit} [init]
 */
const ask = async (path, init) => {
    const answer = await fetch(path, init).catch(() => {
        throw new Error('The program that serves this page does not answer: has it ended? Start it again, and open the page that it names.');
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error.message);
    return said;
};

/** What the form says the board is to know. */
const wanted = () => ({
    claim: $('claim').checked,
    hostname: $('hostname').value || null,
    wifi: $('ssid').value ? { ssid: $('ssid').value, password: $('password').value } : null,
});

/** @param {Element} element @param {(string | Node)[]} parts */
const fill = (element, ...parts) => element.replaceChildren(...parts);

/** @param {string} name @param {(string | Node)[]} parts */
const make = (name, ...parts) => {
    const element = document.createElement(name);
    element.append(...parts);
    return element;
};

/** Asks for a port, and opens the dialog of esp-web-tools. @param {string} manifest */
const open = manifest => connect(/** @type {any} */ ({ manifest }));

/** Says what nobody can read later, and how it goes on. @param {string} password @param {string} manifest @param {boolean} wifi */
const show = (password, manifest, wifi) => {
    const again = make('button', 'Tell it its WiFi');
    again.addEventListener('click', () => open(manifest));
    fill($('made'),
        make('h2', 'Write this on the board'),
        make('p', 'The password of its own access point, ', make('code', 'SPORE-'), ' and the last six digits of its MAC address: ',
            make('output', password), '. It is shown this once.'),
        make('p', 'When it is flashed, let go of GPIO0 and switch the board off and on.',
            wifi ? '' : ' Some seconds later it can be told its WiFi: here, or on the page of its access point.'),
        ...(wifi ? [] : [again]));
};

/** @param {Event} event */
const flash = async event => {
    event.preventDefault();
    complain('');
    $('flash').disabled = true;
    try {
        const headers = { 'content-type': 'application/json' };
        const order = wanted();
        const made = await ask('boards', { method: 'POST', headers, body: JSON.stringify(order) });
        show(made.access_point_password, made.manifest, order.wifi !== null);
        // The browser lets a page ask for a port for some seconds after a click.
        await open(made.manifest);
    } catch (error) {
        complain(error instanceof Error ? error.message : String(error));
    } finally {
        $('flash').disabled = false;
    }
};

const start = async () => {
    const { image, why } = await ask('image');
    if (!image) {
        $('image').textContent = 'There is no firmware to flash.';
        complain(why);
        return;
    }
    $('image').textContent = `Firmware ${image.version} for the board ${image.board}${image.signed ? '' : ', not signed: a board runs it, and cannot give it to others'}.`;
    if (!('serial' in navigator)) {
        complain('This browser cannot use serial ports. Use Chromium, Google Chrome, Microsoft Edge or Opera on a PC; or flash with ./ctl.sh flash.');
        return;
    }
    $('form').addEventListener('submit', flash);
    $('form').hidden = false;
};

start().catch(error => {
    $('image').textContent = '';
    complain(error.message);
});
