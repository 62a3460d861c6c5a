// Start, vectors and exceptions. They are dispatched as the mask ROM does it, through a table in RAM whose address the
// vectors of Espressif's libraries know.
//
// A vector leaves a frame of 256 bytes on the stack, with a2 to a4 in it, the cause in a2, and jumps to what the table
// has for the cause. That is here: it saves the rest and calls a function with the frame and the cause. The places in
// the frame are those that Espressif's handlers expect (`Frame` in exceptions.rs).

#include "lx106.inc"

        .set    FRAME, 256
        .set    EPC, 0
        .set    PS, 4
        .set    SAR, 8
        .set    A0, 16
        .set    A2, 20
        .set    A3, 24
        .set    A4, 28
        .set    A5, 32                          // and so on
        .set    CAUSE, 76
        .set    A1, 80                          // behind what the handlers know
        .set    EXCVADDR, 12
        .set    HANDLED, -1                     // as in access.rs
        .set    ALLOWED, 1                      // attribute of a region: everything
        .set    FORBIDDEN, 15                   // nothing

// What is loaded from, or stored to, where programs are (0x40000000 to 0x5FFFFFFF) is held to what the chip allows, by
// forbidding it all (access.rs). Then L32R loads no constant here either: what comes before `allow` does without.
        .macro  allow at, attribute
        movi    \at, 1
        slli    \at, \at, 30
        movi    \attribute, ALLOWED
        wdtlb   \attribute, \at
        dsync
        .endm
        .macro  restore at, attribute           // as it is for programs
        movi    \attribute, program_data
        l32i    \attribute, \attribute, 0
        movi    \at, 1
        slli    \at, \at, 30
        wdtlb   \attribute, \at
        dsync
        .endm

// --- Vectors, at the LX106's offsets, until those of the libraries are set -----------------

        .section .rom_vectors, "ax"
        .global rom_vectors
rom_vectors:
        vectors dispatch, double_exception
        j       reset                           // software jumps here

        .align  4
        .literal_position
        .align  4
dispatch:
        addmi   a1, a1, -FRAME
        s32i    a2, a1, A2
        s32i    a3, a1, A3
        s32i    a4, a1, A4
        rsr     a0, excsave1
        movi    a3, 1                           // TABLE
        slli    a3, a3, 30
        addmi   a3, a3, -0x4000
        rsr     a2, exccause
        addx4   a3, a2, a3
        l32i    a3, a3, 0
        jx      a3
double_exception:
        allow   a6, a7
        movi    a2, CAUSE_DOUBLE
        rsr     a3, depc
        rsr     a4, excvaddr
        rsr     a5, epc1
        movi    a1, _stack_top                  // the old stack may be what is broken
        enter   rom_fault, PS_REPORT
reset:
        allow   a6, a7
        movi    a1, _stack_top
        enter   rom_reset, PS_REPORT

// --- Entry out of QEMU's reset: a2 points at its boot parameters -----------------------------

        function rom_start
        movi    a1, _stack_top
        movi    a3, rom_vectors
        wsr     a3, vecbase
        movi    a3, 0
        wsr     a3, intenable
        clear_bss a3, a4, a5
        enter   rom_main, PS_PROGRAM

// --- What the table leads to ------------------------------------------------------------------

        .macro  save
        s32i    a0, a1, A0
        s32i    a5, a1, A5
        s32i    a6, a1, A5 + 4
        s32i    a7, a1, A5 + 8
        s32i    a8, a1, A5 + 12
        s32i    a9, a1, A5 + 16
        s32i    a10, a1, A5 + 20
        s32i    a11, a1, A5 + 24
        s32i    a12, a1, A5 + 28
        s32i    a13, a1, A5 + 32
        s32i    a14, a1, A5 + 36
        s32i    a15, a1, A5 + 40
        s32i    a2, a1, CAUSE
        addmi   a3, a1, FRAME
        s32i    a3, a1, A1
        rsr     a3, epc1
        s32i    a3, a1, EPC
        rsr     a3, ps
        s32i    a3, a1, PS
        rsr     a3, sar
        s32i    a3, a1, SAR
        rsr     a3, excvaddr
        s32i    a3, a1, EXCVADDR
        .endm

        .macro  load
        l32i    a3, a1, SAR
        wsr     a3, sar
        l32i    a0, a1, A0
        l32i    a2, a1, A2
        l32i    a3, a1, A3
        l32i    a4, a1, A4
        l32i    a5, a1, A5
        l32i    a6, a1, A5 + 4
        l32i    a7, a1, A5 + 8
        l32i    a8, a1, A5 + 12
        l32i    a9, a1, A5 + 16
        l32i    a10, a1, A5 + 20
        l32i    a11, a1, A5 + 24
        l32i    a12, a1, A5 + 28
        l32i    a13, a1, A5 + 32
        l32i    a14, a1, A5 + 36
        l32i    a15, a1, A5 + 40
        l32i    a1, a1, A1
        .endm

        function rom_access_exception           // an address without memory, or with none that may be touched
        save
        allow   a3, a4
        mov     a2, a1
        rsr     a3, excvaddr
        movi    a1, access_stack                // the program's own holds what it would on the chip
        s32i    a2, a1, 0
        movi    a4, PS_REPORT
        wsr     a4, ps
        rsync
        movi    a0, rom_access
        callx0  a0
        l32i    a1, a1, 0
        beqi    a2, HANDLED, restore_and_leave
        s32i    a2, a1, CAUSE
        j       call

        .global rom_exception                   // all others
        .type   rom_exception, @function
        .align  4
rom_exception:
        save
        allow   a3, a4
call:
        movi    a4, told                        // what the handler may read from special registers
        l32i    a3, a1, EPC
        s32i    a3, a4, 0
        s32i    a2, a4, 4
        l32i    a3, a1, EXCVADDR
        s32i    a3, a4, 8
        movi    a4, 0x21                        // level 1, user mode, no longer in an exception
        wsr     a4, ps
        rsync
        mov     a3, a2
        movi    a4, rom_handlers
        addx4   a4, a2, a4
        l32i    a4, a4, 0
        mov     a2, a1
        restore a5, a6
        callx0  a4
        j       leave

// Back from an access that was emulated, by way of EPC2, which nobody else uses: the special registers of exceptions are
// those of the last one that the program was told of.
restore_and_leave:
        movi    a7, told
        l32i    a8, a7, 0
        wsr     a8, epc1
        l32i    a8, a7, 4
        wsr     a8, exccause
        l32i    a8, a7, 8
        wsr     a8, excvaddr
        restore a5, a6
        l32i    a3, a1, EPC
        wsr     a3, epc2
        l32i    a3, a1, PS
        movi    a4, ~0x10                       // no longer in an exception
        and     a3, a3, a4
        wsr     a3, eps2
        load
        rfi     2

leave:
        movi    a4, 0x3F                        // in an exception again
        wsr     a4, ps
        rsync
        l32i    a3, a1, PS
        wsr     a3, ps
        rsync
        l32i    a3, a1, EPC
        wsr     a3, epc1
        load
        rfe

        .section .data.program_data, "aw"
        .align  4
program_data:                                   // the attribute of that region
        .word   ALLOWED
told:                                           // EPC1, EXCCAUSE and EXCVADDR of the last exception that was handed on
        .word   0, 0, 0

        .section .bss.access_stack, "aw", @nobits
        .align  16
        .space  2048
access_stack:
        .space  16

// --- Special registers, for Rust ---------------------------------------------------------------

        function rom_forbid                     // a2 = an address: nobody may touch the 512 MB that it is in
        movi    a3, FORBIDDEN
        wdtlb   a3, a2
        dsync
        isync
        ret

        function rom_guard                      // programs are held to what the chip allows; their exceptions come here
        movi    a3, rom_vectors
        wsr     a3, vecbase
        movi    a4, FORBIDDEN
        movi    a3, program_data
        s32i    a4, a3, 0
        restore a3, a4
        isync
        ret

        function rom_trust                      // they may do what QEMU allows
        movi    a4, ALLOWED
        movi    a3, program_data
        s32i    a4, a3, 0
        restore a3, a4
        isync
        ret

        function rom_let_in                     // a2 = mask of interrupts
        wsr     a2, intenable
        rsync
        ret

        function rom_sleep                      // until there is an interrupt; all of them are let through then
        waiti   0
        ret

        .section .note.GNU-stack, "", @progbits
