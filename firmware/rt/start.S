// Entry, exception vectors and special registers of the LX106 on QEMU's XTFPGA board.
//
// Assemble with -mtext-section-literals. The linker script gives _bss_start, _bss_end,
// _stack_paint and _stack_top, all multiples of 4, and places .vectors at the start of instruction
// RAM. The program gives lx106_main and lx106_fault.

        .set    STACK_PAINT, 0x5AFE5AFE         // as in stack.rs
        .set    CAUSE_INTERRUPT, 4              // EXCCAUSE of a level-1 interrupt
        .set    CAUSE_DOUBLE, 0xDEAD

// --- Vectors, at the LX106's offsets from VECBASE ------------------------------------------

        .section .vectors, "ax"
        .global lx106_vectors
lx106_vectors:
        .org    0x10                            // debug exception
        rfi     2
        .org    0x20                            // non-maskable interrupt
        rfi     3
        .org    0x30                            // kernel mode exception
        wsr     a0, excsave1
        j       exception
        .org    0x50                            // user mode exception
        wsr     a0, excsave1
        j       exception
        .org    0x70                            // exception inside an exception
        j       double_exception

        .org    0x80
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
        movi    a0, 0x2F                        // interrupt level 15, user mode, no longer in an
        wsr     a0, ps                          // exception: one in the report ends here, too
        rsync
        movi    a0, lx106_fault
        callx0  a0                              // does not return

// --- Entry: a2 points at the boot parameters -----------------------------------------------

        .section .text.start, "ax"
        .global _start
        .type   _start, @function
        .literal_position
_start:
        movi    a1, _stack_top
        movi    a3, lx106_vectors
        wsr     a3, vecbase
        movi    a3, 0
        wsr     a3, intenable
        movi    a4, _bss_start
        movi    a5, _bss_end
        bgeu    a4, a5, 2f
1:      s32i    a3, a4, 0
        addi    a4, a4, 4
        bltu    a4, a5, 1b
2:      movi    a3, STACK_PAINT
        movi    a4, _stack_paint
3:      s32i    a3, a4, 0
        addi    a4, a4, 4
        bltu    a4, a1, 3b
        movi    a3, 0x20                        // interrupt level 0, user mode, no exception
        wsr     a3, ps
        rsync
        movi    a0, lx106_main
        callx0  a0                              // does not return

// --- Special registers, for cpu.rs ---------------------------------------------------------

        .macro  function name
        .section .text.\name, "ax"
        .global \name
        .type   \name, @function
        .align  4
\name:
        .endm

        function lx106_ccount                   // -> a2
        rsr     a2, ccount
        ret

        function lx106_set_ccompare0            // a2 = value
        wsr     a2, ccompare0
        esync
        ret

        function lx106_interrupt_clear          // a2 = mask
        wsr     a2, intclear
        rsync
        ret

        function lx106_raise_level              // -> a2, PS of before
        rsil    a2, 15
        ret

        function lx106_restore_level            // a2 = PS of before
        wsr     a2, ps
        rsync
        ret

        function lx106_wait                     // a2 = mask of the interrupts that end it
        rsil    a3, 1                           // none yet, though unmasked
        wsr     a2, intenable
        rsync
        waiti   0                               // level 0 and asleep, in one instruction
        movi    a3, 0
        wsr     a3, intenable
        rsync
        ret

        function lx106_epc3                     // -> a2
        rsr     a2, epc3
        ret

        function lx106_call_on                  // a2 = top of a stack, a3 = function, a4 = its argument
        addi    a2, a2, -16                     // stays aligned to 16, as the ABI wants it
        s32i    a0, a2, 0
        s32i    a1, a2, 4
        mov     a1, a2
        mov     a2, a4
        callx0  a3
        l32i    a0, a1, 0
        l32i    a1, a1, 4                       // the old stack
        ret

        .section .note.GNU-stack, "", @progbits
