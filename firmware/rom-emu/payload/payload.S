// What stands for a node where the bootloader is tested: it shows that each part of an image came to its place, and
// restarts. Assembled and linked by `cargo xtask rom`, for each slot.

        .section .iram, "ax"
        .global payload
        .align  4
        .literal_position
payload:                                        // in instruction RAM, with the cache off
        movi    a2, 0
        movi    a3, 0
        movi    a4, 1
        movi    a0, Cache_Read_Enable
        callx0  a0
        movi    a0, in_place
        jx      a0

        .section .in_place, "ax"
        .align  4
        .literal_position
in_place:                                       // in the flash window
        movi    a2, text
        movi    a4, payload_header
        extui   a3, a4, 18, 1                   // 0 in slot A, 1 in slot B
        addi    a3, a3, 65
        l32i    a4, a4, 8                       // the sequence number of the image, read through the window
        movi    a5, data
        l32i    a5, a5, 0
        movi    a0, ets_printf
        callx0  a0
        movi    a2, 0x9D020010                  // resets the board
        movi    a3, 0xDEAD
        s32i    a3, a2, 0
1:      j       1b

        .section .data, "aw"
        .align  4
data:   .word   0x5AFE
text:   .asciz  "PAYLOAD slot %c image %d data %x\n"
        .align  4

        .section .note.GNU-stack, "", @progbits
