// Entry and vectors of a program that runs straight on QEMU's XTFPGA board.
//
// Assemble with -mtext-section-literals. The linker script gives _bss_start, _bss_end and _stack_top, and places .vectors
// at the start of instruction RAM. The program gives lx106_main and lx106_fault.

#include "lx106.inc"

        .section .vectors, "ax"
        .global lx106_vectors
lx106_vectors:
        vectors exception, double_exception

        .align  4
        .literal_position
double_exception:
        movi    a2, CAUSE_DOUBLE
        j       report

        .align  4
exception:
        rsr     a0, exccause
        bnei    a0, CAUSE_INTERRUPT, fault
        // An interrupt only ends the sleep in lx106_wait: mask all of them and go back there.
        movi    a0, 0
        wsr     a0, intenable
        rsync
        rsr     a0, excsave1
        rfe
fault:
        rsr     a2, exccause
report:
        rsr     a3, epc1
        rsr     a4, excvaddr
        rsr     a5, excsave1
        movi    a1, _stack_top                  // the old stack may be what is broken
        enter   lx106_fault, PS_REPORT

        function _start                         // a2 = QEMU's boot parameters
        movi    a1, _stack_top
        movi    a3, lx106_vectors
        wsr     a3, vecbase
        movi    a3, 0
        wsr     a3, intenable
        clear_bss a3, a4, a5
        enter   lx106_main, PS_PROGRAM

        .section .note.GNU-stack, "", @progbits
