// Start, exceptions and the watchdog's tick of the stand-in for the SDK.
//
// Assemble with -mtext-section-literals. The program gives sdk_emu_main and sdk_emu_fault; the linker script gives
// _bss_start and _bss_end, multiples of 4.

#include "lx106.inc"

        .set    STACK_TOP, 0x3FFFFFF0           // as the bootloader of the chip leaves it
        .set    TIMER, 1 << 6                   // interrupts, as in cpu.rs
        .set    ETHERNET, 1 << 1
        .set    TICK_CYCLES, 4000000            // 100 ms
        .set    TICKS, 30                       // the watchdog's 3 s
        .set    EXPIRIES, 2                     // at the second one it bites
        .set    CAUSE_WATCHDOG, 0xD09           // as in fault.rs

// --- What the interrupt handler needs ------------------------------------------------------

        .data
        .align  4
        .global sdk_emu_watchdog
sdk_emu_watchdog:
        .word   0, 0                            // a2 and a3 of whom it interrupts
        .word   TICKS                           // until the watchdog expires
        .word   0                               // how often it has, since it was fed

        .bss
        .align  16
        .space  2048
fault_stack:

// --- Vectors, at the LX106's offsets from VECBASE ------------------------------------------

        .section .sdk_vectors, "ax"
        .global sdk_emu_vectors
sdk_emu_vectors:
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
        movi    a0, sdk_emu_watchdog
        s32i    a2, a0, 0
        s32i    a3, a0, 4
        rsr     a2, interrupt
        rsr     a3, intenable
        and     a2, a2, a3
        bbsi    a2, 6, tick
        // A frame: it only ends the sleep, and is looked at behind it.
        movi    a3, TIMER
        wsr     a3, intenable
        rsync
        j       back
tick:
        rsr     a3, ccount
        movi    a2, TICK_CYCLES
        add     a3, a3, a2
        wsr     a3, ccompare0                   // also clears the interrupt
        esync
        l32i    a3, a0, 8
        addi    a3, a3, -1
        s32i    a3, a0, 8
        bgei    a3, 1, back
        movi    a3, TICKS
        s32i    a3, a0, 8
        l32i    a3, a0, 12
        addi    a3, a3, 1
        s32i    a3, a0, 12
        bgei    a3, EXPIRIES, bite
back:
        l32i    a3, a0, 4
        l32i    a2, a0, 0
        rsr     a0, excsave1
        rfe
bite:
        movi    a2, CAUSE_WATCHDOG
        j       report
fault:
        rsr     a2, exccause
report:
        rsr     a3, epc1
        rsr     a4, excvaddr
        rsr     a5, excsave1
        rsr     a6, depc
        mov     a7, a1
        wsr     a3, epc3                        // as if the watchdog was in the radio's interrupt
        movi    a1, fault_stack                 // the firmware's may be what is broken
        movi    a0, 0
        wsr     a0, intenable
        enter   sdk_emu_fault, PS_REPORT

// --- Entry: a2 points at the table of the firmware (app.rs) ------------------------------------

        function sdk_emu_start
        movi    a1, STACK_TOP
        movi    a4, sdk_emu_vectors
        wsr     a4, vecbase
        movi    a4, 0
        wsr     a4, intenable
        clear_bss a4, a5, a6
        enter   sdk_emu_main, PS_PROGRAM

// --- For clock.rs ---------------------------------------------------------------------------

        function sdk_emu_tick                   // the ticks begin
        rsr     a2, ccount
        movi    a3, TICK_CYCLES
        add     a2, a2, a3
        wsr     a2, ccompare0
        esync
        movi    a2, TIMER
        wsr     a2, intenable
        rsync
        ret

        function sdk_emu_wait                   // a2 = reading of CCOUNT to sleep to, if no frame comes before
        rsil    a3, 1                           // no interrupt until it sleeps
        wsr     a2, ccompare0
        esync
        rsr     a4, ccount
        sub     a4, a2, a4
        blti    a4, 1, 1f                       // it has passed already
        movi    a4, TIMER | ETHERNET
        wsr     a4, intenable
        rsync
        waiti   0                               // level 0 and asleep, in one instruction
1:      rsr     a2, ccount
        movi    a4, TICK_CYCLES
        add     a2, a2, a4
        wsr     a2, ccompare0
        esync
        movi    a4, TIMER
        wsr     a4, intenable
        wsr     a3, ps
        rsync
        ret

        .section .note.GNU-stack, "", @progbits
