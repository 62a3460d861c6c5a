// Entry of the bootloader, and the way out of it.

        .set    STACK, 0x3FFFFFF0               // the SDK expects it at its end, and never sets it

        .section .text.boot_start, "ax"
        .global boot_start
        .type   boot_start, @function
        .align  4
        .literal_position
boot_start:                                     // from the mask ROM, with the cache off
        movi    a1, STACK
        movi    a0, boot_main
        callx0  a0                              // does not return

        .section .text.boot_enter, "ax"
        .global boot_enter
        .type   boot_enter, @function
        .align  4
        .literal_position
boot_enter:                                     // a2 = entry of an image
        movi    a1, STACK
        jx      a2

        .section .note.GNU-stack, "", @progbits
