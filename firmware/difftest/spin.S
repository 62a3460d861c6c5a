// A loop of known length, by which the cycle counter is calibrated.

        .section .text.lx106_spin, "ax"
        .global lx106_spin
        .type   lx106_spin, @function
        .align  4
lx106_spin:                                     // a2 = rounds, at least one, of two instructions each
        addi    a2, a2, -1
        bnez    a2, lx106_spin
        ret

        .section .note.GNU-stack, "", @progbits
