#!/usr/bin/env python3
"""A second implementation of image.md's container, to hold the first one to it.

Needs the package `cryptography`. Usage:
  python3 docs/image_vectors.py > docs/image-vectors.json    make the test vectors
  python3 docs/image_vectors.py FILE A.bin B.bin [PUBLIC]    check a container: it must give these images, byte for byte,
                                                             and be signed with the key of these 64 hexadecimal digits
"""

import json
import struct
import sys
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WINDOWS = 0x40203000, 0x4027B000
DISTANCE = WINDOWS[1] - WINDOWS[0]
SEED = bytes([1]) * 32


def words(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


def fields(h):
    """What the header of a slot and the head of a container have in common."""
    segments = [word for segment in h["segments"] for word in segment]
    return (words(h["sequence"], h["entry"], h["in_place"]) + h["board"].encode().ljust(16, b"\0")
            + h["version"].encode().ljust(24, b"\0") + words(*segments).ljust(64, b"\0"))


def page(header, digest):
    return (b"SPIM\1\0\0\0" + fields(header)).ljust(224, b"\0") + digest


def sector(payload, number):
    """A chunk: the first one is shorter by the header of the slot."""
    return payload[max(0, number * 4096 - 256):number * 4096 + 3840]


def varints(chunk, moving):
    """The list of a chunk: the gaps between the words that move."""
    out, following = b"", 0
    for word in moving:
        gap = word - following
        out += bytes([gap]) if gap < 128 else bytes([gap & 127 | 128, gap >> 7])
        following = word + 1
    return out


def move(chunk, varint_list, distance):
    numbers, low = list(struct.unpack(f"<{len(chunk) // 4}I", chunk)), None
    word = -1
    for byte in varint_list:
        if low is None and byte & 128:
            low = byte & 127
            continue
        word += 1 + (byte if low is None else byte << 7 | low)
        low = None
        numbers[word] = (numbers[word] + distance) % 2**32
    return words(*numbers)


def container(header, payload, moving, seed):
    """`moving` are places in the payload, in words."""
    count = -(-(len(payload) + 256) // 4096)
    rows, lists, images = b"", b"", [b"", b""]
    for number in range(count):
        chunk = sector(payload, number)
        first = max(0, number * 4096 - 256) // 4
        own = varints(chunk, [w - first for w in moving if first <= w < first + len(chunk) // 4])
        lists += own
        rows += sha256(chunk).digest() + words(len(lists))
        images = [image + move(chunk, own, distance)
                  for image, distance in zip(images, (0, DISTANCE))]
    headers = [header, {**header, "entry": header["entry"] + DISTANCE}]
    if not WINDOWS[0] <= header["entry"] < WINDOWS[1]:
        headers[1] = header
    digests = [sha256(page(h, bytes(32)) + image).digest() for h, image in zip(headers, images)]
    slots = [page(h, digest) + image for h, digest, image in zip(headers, digests, images)]
    head = b"SPOR\1\0\0\0" + fields(header) + words(len(lists)) + sha256(rows + lists).digest()
    head += b"".join(digests)
    assert len(head) == 224
    key = Ed25519PrivateKey.from_private_bytes(seed) if seed else None
    signature = key.sign(head) if key else bytes(64)
    return head + signature + rows + lists + payload, slots


def take(file):
    """The images of a container, whose digests are all checked."""
    assert file[:8] == b"SPOR\1\0\0\0", "no container"
    in_place, = struct.unpack_from("<I", file, 16)
    segments = [struct.unpack_from("<2I", file, 60 + 8 * n) for n in range(8)]
    size = in_place + sum(length for _, length in segments)
    count, list_size = -(-(size + 256) // 4096), struct.unpack_from("<I", file, 124)[0]
    assert len(file) == 288 + 36 * count + list_size + size, "length"
    rows, lists = file[288:288 + 36 * count], file[288 + 36 * count:len(file) - size]
    payload = file[len(file) - size:]
    assert sha256(rows + lists).digest() == file[128:160], "lists"
    start, images = 0, [b"", b""]
    for number in range(count):
        row = rows[36 * number:36 * number + 36]
        end, = struct.unpack("<I", row[32:])
        chunk = sector(payload, number)
        assert sha256(chunk).digest() == row[:32], f"chunk {number}"
        images = [image + move(chunk, lists[start:end], distance)
                  for image, distance in zip(images, (0, DISTANCE))]
        start = end
    assert start == list_size, "relocations of no chunk"
    out = []
    for slot, image in enumerate(images):
        head = bytearray((b"SPIM\1\0\0\0" + file[8:124]).ljust(256, b"\0"))
        entry, = struct.unpack_from("<I", head, 12)
        if slot and WINDOWS[0] <= entry < WINDOWS[1]:
            head[12:16] = words(entry + DISTANCE)
        digest = file[160 + 32 * slot:192 + 32 * slot]
        assert sha256(head + image).digest() == digest, f"slot {'AB'[slot]}"
        out.append(bytes(head[:224]) + digest + image)
    return out


def check(path, a, b, public=None):
    file = open(path, "rb").read()
    assert take(file) == [open(a, "rb").read(), open(b, "rb").read()], "other images"
    if public:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(file[224:288], file[:224])
    print(f"{path}: gives {a} and {b}, byte for byte" + (", and is signed" if public else ""))


def vectors():
    pattern = bytes((7 * n + n // 251) % 256 for n in range(4240))
    header = {"sequence": 7, "entry": WINDOWS[0] + 256, "in_place": 4000, "board": "esp-01",
              "version": "1.2.3", "segments": [[0x40100000, 200], [0x3FFE8000, 40]]}
    ram = {**header, "entry": 0x40100000}
    program = {"sequence": 2**32 - 1, "entry": 0, "in_place": 300, "board": "host",
               "version": "v" * 24, "segments": []}
    for name, h, payload, moving, seed in [
        ("words that move at both ends of both chunks, and far from each other", header, pattern,
         [0, 1, 129, 258, 959, 960, 961, 1059], SEED),
        ("nothing that moves but the entry", header, pattern, [], SEED),
        ("an entry in RAM, not signed", ram, pattern, [959], None),
        ("a program for Linux", program, pattern[:300], [], SEED),
    ]:
        assert len(payload) == h["in_place"] + sum(length for _, length in h["segments"])
        file, slots = container(h, payload, moving, seed)
        if h["segments"]:
            assert take(file) == slots
        yield {"name": name, "header": h, "moving": moving, "signed": bool(seed), "container": file.hex(),
               "sha256_of_slots": [sha256(slot).hexdigest() for slot in slots]}


def refused():
    good, _ = container({"sequence": 1, "entry": 0, "in_place": 4, "board": "host", "version": "1",
                         "segments": []}, b"abcd", [], SEED)

    def changed(at, new):
        return good[:at] + new + good[at + len(new):]
    yield "empty", b"", "Length"
    yield "a head, and half a row", good[:300], "Length"
    yield "one byte more", good + b"\0", "Length"
    yield "another magic", changed(0, b"SPIM"), "Head(Magic)"
    yield "format 2", changed(4, b"\2"), "Head(Format)"
    yield "a zero that is none", changed(7, b"\1"), "Head(Format)"
    yield "no board", changed(20, bytes(16)), "Head(Name)"
    yield "a space in the version", changed(37, b" "), "Head(Name)"
    yield "something behind the end of a name", changed(40, b"x"), "Head(Name)"
    yield "no payload", changed(16, words(0)), "Head(Length)"
    yield "half a word", changed(16, words(2)), "Head(Length)"
    yield "sizes whose sum overflows", changed(64, words(2**32 - 4)), "Head(Length)"
    yield "more relocations than words", changed(124, words(3)), "Head(Length)"
    yield "another digest of a chunk", changed(288, b"\0"), "Lists"
    yield "another payload", changed(len(good) - 1, b"e"), "Chunk(0)"
    yield "another number", changed(8, words(2)), "Slot(A)"


if sys.argv[1:]:
    check(*sys.argv[1:])
else:
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    print(json.dumps({
        "public": public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
        "valid": list(vectors()),
        "refused": [{"name": n, "container": c.hex(), "error": e} for n, c, e in refused()],
    }, indent=1))
