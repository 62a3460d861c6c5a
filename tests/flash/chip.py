#!/usr/bin/env python3
"""The mask ROM's serial loader of an ESP8266, on a pseudo-terminal, over a file as its flash.

Speaks what Espressif documents as the serial protocol (SLIP frames, RFC 1055; commands 0x02 to 0x14, 0xD0), first as the ROM does,
and as the stub of esptool and esptool-js once that was uploaded and started: the stub itself is not run. Registers behave as far as esptool
looks: who the chip is, its MAC address, the id of its flash over the SPI registers.

The flash is as NOR flash is: a sector is erased to ones, and programming clears bits. What a board would not do is refused, and the
reason written to stderr: a write beyond the end or into what is not erased.

Prints the path of the terminal, then serves until it is killed.
"""

import argparse
import hashlib
import os
import pty
import select
import signal
import struct
import sys
import time
import tty
import zlib

SECTOR = 4096
END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5, ERASE_FLASH = 0x10, 0x11, 0x12, 0x13, 0xD0
OF_ROM = {FLASH_BEGIN, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG, READ_REG}
OF_STUB = OF_ROM | {SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE, DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5, ERASE_FLASH}

MAGIC_REGISTER = 0x40001000
MAGICS = {"esp8266": 0xFFF0C101, "esp32": 0x00F01D83}
CLOCK_DIVIDER = 0x60000014
SPI_COMMAND, SPI_USER2, SPI_W0 = 0x60000200, 0x60000224, 0x60000240
SPI_USER = 1 << 18
READ_ID = 0x9F

BAD_LENGTH, BAD_COMMAND, FAILED = 0x01, 0x05, 0x06


class Refused(Exception):
    """A command that the chip does not carry out, and the code that it answers with."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


class Flash:
    """A file as NOR flash."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        self.size = os.fstat(self.file.fileno()).st_size

    def check(self, address, length):
        if address + length > self.size:
            raise Refused(FAILED, f"{address:#x} + {length:#x} is beyond the end, {self.size:#x}")

    def read(self, address, length):
        self.check(address, length)
        self.file.seek(address)
        return self.file.read(length)

    def erase(self, address, length):
        first, end = address // SECTOR * SECTOR, -(-(address + length) // SECTOR) * SECTOR
        self.check(first, end - first)
        self.file.seek(first)
        self.file.write(b"\xff" * (end - first))

    def program(self, address, data):
        before = self.read(address, len(data))
        after = bytes(old & new for old, new in zip(before, data))
        self.file.seek(address)
        self.file.write(after)
        self.file.flush()
        if after != data:
            raise Refused(FAILED, f"what is at {address:#x} was not erased")


class Chip:
    """The loader's state."""

    def __init__(self, flash, kind, mac, die_after):
        self.flash = flash
        self.kind = kind
        self.mac = mac
        self.stub = False
        self.registers = {MAGIC_REGISTER: MAGICS[kind], CLOCK_DIVIDER: 451}
        # The MAC address as it is burnt into the chip's one-time memory.
        a, b, c, d, e, f = mac
        self.registers[0x3FF00050] = f << 24
        self.registers[0x3FF00054] = d << 8 | e
        self.registers[0x3FF0005C] = a << 16 | b << 8 | c
        self.left = self.at = self.memory_left = 0
        self.inflate = None
        self.die_after = die_after

    def command(self, op, data, checksum):
        """Carries out a command: (value, payload) of its answer."""
        if op not in (OF_STUB if self.stub else OF_ROM):
            raise Refused(BAD_COMMAND, f"command {op:#x} is unknown")
        if op in (FLASH_DATA, MEM_DATA, DEFL_DATA):
            self.check_block(data, checksum)
        if op == SYNC:
            # esptool knows the stub by its answer of zero.
            return 0 if self.stub else 0x20120707, b""
        if op == READ_REG:
            return self.register(struct.unpack("<I", data)[0]), b""
        if op == WRITE_REG:
            self.write_register(*struct.unpack("<IIII", data)[:2])
        elif op in (FLASH_BEGIN, DEFL_BEGIN):
            size, _, _, offset = struct.unpack("<IIII", data[:16])
            self.flash.erase(offset, size)
            self.left, self.at = size, offset
            self.inflate = zlib.decompressobj() if op == DEFL_BEGIN else None
        elif op in (FLASH_DATA, DEFL_DATA):
            self.write_block(op, data[16:])
        elif op in (FLASH_END, DEFL_END):
            if op == DEFL_END and self.left:
                raise Refused(FAILED, f"{self.left} bytes are missing")
            # Zero: the chip starts anew. Without reset lines that means: into the loader.
            self.stub = self.stub and struct.unpack("<I", data[:4])[0] != 0
        elif op == MEM_BEGIN:
            self.memory_left = struct.unpack("<IIII", data)[0]
        elif op == MEM_DATA:
            self.memory_left -= len(data) - 16
        elif op == MEM_END:
            if self.memory_left > 0:
                raise Refused(FAILED, f"{self.memory_left} bytes of the stub are missing")
        elif op == ERASE_FLASH:
            self.flash.erase(0, self.flash.size)
        elif op == MD5:
            address, size = struct.unpack("<II", data[:8])
            return 0, hashlib.md5(self.flash.read(address, size)).digest()
        return 0, b""

    @staticmethod
    def check_block(data, checksum):
        length = struct.unpack("<I", data[:4])[0]
        block = data[16:]
        if length != len(block):
            raise Refused(BAD_LENGTH, f"{len(block)} bytes instead of {length}")
        found = 0xEF
        for byte in block:
            found ^= byte
        if found != checksum & 0xFF:
            raise Refused(0x07, f"the checksum is {found:#x}, not {checksum:#x}")

    def write_block(self, op, block):
        if op == DEFL_DATA:
            block = self.inflate.decompress(block)
            if len(block) > self.left:
                raise Refused(FAILED, "more data than was announced")
        # An uncompressed block is filled up beyond the end.
        block = block[: self.left]
        if self.die_after is not None:
            self.die_after -= len(block)
            if self.die_after < 0:
                os._exit(3)
        self.flash.program(self.at, block)
        self.at += len(block)
        self.left -= len(block)

    def register(self, address):
        return self.registers.get(address, 0)

    def write_register(self, address, value):
        self.registers[address] = value
        if address == SPI_COMMAND and value & SPI_USER:
            self.registers[SPI_COMMAND] = 0
            if self.registers.get(SPI_USER2, 0) & 0xFF == READ_ID:
                # Manufacturer, kind, and the size as a power of two.
                size = self.flash.size.bit_length() - 1
                self.registers[SPI_W0] = 0x5E | 0x40 << 8 | size << 16


def slip(payload):
    escaped = payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


def frames(terminal):
    """Whole frames, as they come."""
    frame, escaped, inside = bytearray(), False, False
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # Nobody has the other end open.
            signal.sigtimedwait([], 0.02)
            continue
        for byte in data:
            if byte == END:
                if inside and frame:
                    yield bytes(frame)
                    frame, inside = bytearray(), False
                else:
                    inside = True
            elif escaped:
                frame.append({ESC_END: END, ESC_ESC: ESC}.get(byte, byte))
                escaped = False
            elif byte == ESC:
                escaped = True
            elif inside:
                frame.append(byte)


def serve(terminal, chip):
    for frame in frames(terminal):
        if len(frame) < 8:
            continue
        direction, op, length, checksum = struct.unpack("<BBHI", frame[:8])
        data = frame[8:]
        if direction != 0 or length != len(data):
            continue
        value, payload, status = 0, b"", b"\0\0"
        try:
            value, payload = chip.command(op, data, checksum)
        except (Refused, struct.error) as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            status = bytes([1, getattr(error, "code", BAD_LENGTH)])
        payload += status
        answer = struct.pack("<BBHI", 1, op, len(payload), value) + payload
        # To this one both answer eight times.
        repeats = 8 if op == SYNC else 1
        os.write(terminal, slip(answer) * repeats)
        if op == MEM_END and status == b"\0\0":
            chip.stub = True
            os.write(terminal, slip(b"OHAI"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("flash", help="the file with the flash")
    parser.add_argument("--kind", choices=[*MAGICS, "silent", "log"], default="esp8266")
    parser.add_argument("--mac", default="5c:cf:7f:0a:0b:0c")
    parser.add_argument("--die-after", type=int, help="be gone after so many bytes were written")
    arguments = parser.parse_args()
    terminal, other = pty.openpty()
    tty.setraw(other)
    print(os.ttyname(other), flush=True)
    os.close(other)
    if arguments.kind == "silent":
        signal.pause()
    while arguments.kind == "log":
        # A board that runs its firmware; what nobody reads is lost, as on a line.
        select.select([], [terminal], [])
        os.write(terminal, b"BOOT esp-01\r\n")
        time.sleep(0.1)
    mac = bytes.fromhex(arguments.mac.replace(":", ""))
    serve(terminal, Chip(Flash(arguments.flash), arguments.kind, mac, arguments.die_after))


if __name__ == "__main__":
    main()
