// What firmware is linked with in place of the SDK's libraries: its entry, and where the stand-in finds what it calls.
//
// Assemble with -mtext-section-literals. `esp01.ld` puts the sections where the SDK's of the same names would be; the
// vectors themselves are the stand-in's.

        .section .UserEnter.text, "ax"
        .global call_user_start
        .type   call_user_start, @function
call_user_start:
        j       enter

        .macro  vector name
        .section .\name\().text, "ax"
        .global _\name
_\name:
        ill
        .endm
        vector  DebugExceptionVector
        vector  NMIExceptionVector
        vector  KernelExceptionVector
        vector  UserExceptionVector
        vector  DoubleExceptionVector

        .section .iram.text, "ax"
        .align  4
        .literal_position
        .align  4
enter:
        movi    a2, table
        movi    a0, sdk_emu_start
        jx      a0

// As `App` in app.rs. All of lwIP's names that the SDK's libraries ask for are asked for here.
        .section .rodata.app_table, "a"
        .align  4
table:
        .word   0x53504B32                      // "2KPS": this order
        .word   _bss_start, _bss_end, _heap_start
        .word   user_pre_init, user_init
        .word   lwip_init, espconn_init, sys_check_timeouts
        .word   netif_add, netif_remove, netif_set_up, netif_set_down
        .word   netif_set_addr, netif_set_default, netif_default
        .word   pbuf_alloc, pbuf_free, pbuf_ref, pbuf_copy
        .word   ethernet_input, etharp_output, ethbroadcast
        .word   dhcp_start, dhcp_stop, dhcp_release, dhcp_cleanup, dhcps_start, dhcps_stop
        .word   system_restart_hook
        .word   sdk_emu_statics                 // so that the linker keeps them

// The SDK's statics (SDK 3.0.6, without lwIP and what nothing refers to), so that as much is left of RAM as on the chip:
// `cargo xtask footprint` holds the two to each other.
        .section .bss.sdk_statics, "aw", @nobits
        .align  4
        .global sdk_emu_statics
sdk_emu_statics:
        .space  23964

        .section .note.GNU-stack, "", @progbits
