// The LX106's special registers, and a change of stacks, for Rust: this compiler has no inline assembly for it.
//
// Assemble with -mtext-section-literals.

#include "lx106.inc"

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
