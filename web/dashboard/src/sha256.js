// SHA-256 (FIPS 180-4) and HMAC (RFC 2104). Browsers have them, but not for pages that came over plain HTTP.

/** The first 32 bits of the fractional parts of roots of primes: of the square roots of 8, of the cube roots of 64. */
const START = new Uint32Array(8);
const ROUNDS = new Uint32Array(64);
for (let number = 2, found = 0; found < 64; number++) {
    let prime = true;
    for (let factor = 2; factor * factor <= number; factor++) prime &&= number % factor > 0;
    if (!prime) continue;
    if (found < 8) START[found] = number ** (1 / 2) % 1 * 2 ** 32;
    ROUNDS[found++] = number ** (1 / 3) % 1 * 2 ** 32;
}

const encoder = new TextEncoder();

/** The bytes of a text in UTF-8. @param {string | Uint8Array} data */
const bytesOf = data => typeof data === 'string' ? encoder.encode(data) : data;

/** @param {number} word @param {number} count */
const turn = (word, count) => word >>> count | word << 32 - count;

/** The digest of `data`, 32 bytes. @param {string | Uint8Array} data */
export function sha256(data) {
    const bytes = bytesOf(data);
    const padded = new DataView(new ArrayBuffer((bytes.length + 72) >> 6 << 6));
    new Uint8Array(padded.buffer).set(bytes);
    padded.setUint8(bytes.length, 0x80);
    padded.setUint32(padded.byteLength - 8, bytes.length / 2 ** 29);
    padded.setUint32(padded.byteLength - 4, bytes.length << 3);
    const state = new Uint32Array(START), words = new Uint32Array(64);
    for (let at = 0; at < padded.byteLength; at += 64) {
        let [a, b, c, d, e, f, g, h] = state;
        for (let round = 0; round < 64; round++) {
            if (round < 16) words[round] = padded.getUint32(at + 4 * round);
            else {
                const late = words[round - 2], early = words[round - 15];
                words[round] = words[round - 16] + words[round - 7]
                    + (turn(late, 17) ^ turn(late, 19) ^ late >>> 10)
                    + (turn(early, 7) ^ turn(early, 18) ^ early >>> 3);
            }
            const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (g ^ e & (f ^ g)) + ROUNDS[round] + words[round];
            const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b | c & (a | b));
            [h, g, f, e, d, c, b, a] = [g, f, e, d + one | 0, c, b, a, one + two | 0];
        }
        [a, b, c, d, e, f, g, h].forEach((word, index) => state[index] += word);
    }
    const digest = new DataView(new ArrayBuffer(32));
    state.forEach((word, index) => digest.setUint32(4 * index, word));
    return new Uint8Array(digest.buffer);
}

/** The MAC over `data` under `key`, which has at most 64 bytes. @param {Uint8Array} key @param {string | Uint8Array} data */
export function hmac(key, data) {
    /** @param {number} mask @param {Uint8Array} rest */
    const masked = (mask, rest) => {
        const all = new Uint8Array(64 + rest.length).fill(mask, 0, 64);
        key.forEach((byte, index) => all[index] ^= byte);
        all.set(rest, 64);
        return sha256(all);
    };
    return masked(0x5c, masked(0x36, bytesOf(data)));
}

/** @param {Uint8Array} bytes */
export const hex = bytes => [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');

/** The bytes of hexadecimal digits, an even number of them. @param {string} digits */
export const unhex = digits => Uint8Array.from(digits.match(/../g) ?? [], pair => parseInt(pair, 16));
