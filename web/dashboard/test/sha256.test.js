import assert from 'node:assert';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import test from 'node:test';
import { hex, hmac, sha256, unhex } from '../src/sha256.js';

test('digests and MACs are those of others, at all lengths around a block', () => {
    assert.equal(hex(sha256('abc')), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    for (let length = 0; length < 300; length++) {
        const bytes = randomBytes(length), key = randomBytes(32);
        assert.equal(hex(sha256(bytes)), createHash('sha256').update(bytes).digest('hex'), `${length} bytes`);
        assert.equal(hex(hmac(key, bytes)), createHmac('sha256', key).update(bytes).digest('hex'), `${length} bytes`);
    }
    assert.deepEqual(unhex('00ff7f'), Uint8Array.of(0, 255, 127));
});

test('a request is signed as docs/api.md has it', () => {
    const signing = hmac(unhex('07'.repeat(32)), 'SPORE HTTP request signing 1');
    const text = ['PUT', '/api/node/config?a=b', '000102030405060708090a0b0c0d', hex(sha256('{}'))].join('\n');
    assert.equal(hex(hmac(signing, text)), 'c0e8aeafd98b1a0e2861cb77b588e241f860534218dd569dd30a3eb8bb93868e');
});
