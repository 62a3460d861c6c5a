"""Prints what comes over a serial line: PORT BAUD. Ends with Ctrl-C, or with an error when the port goes."""

import os
import sys

import serial


def main():
    port, baud = sys.argv[1:]
    line = serial.Serial()
    line.port, line.baudrate, line.timeout = port, int(baud), 0.5
    # Asserted, they hold a board in reset, or in its loader, on adapters that have them wired.
    line.dtr = line.rts = False
    try:
        line.open()
        while True:
            data = line.read(line.in_waiting or 1)
            if data:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Who read has gone; so that Python does not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (serial.SerialException, OSError) as error:
        print(f"error: the port {port} is gone, or busy: {error}", file=sys.stderr)
        return 1


sys.exit(main())
