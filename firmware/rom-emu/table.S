// The functions of the mask ROM at their addresses (`ld/eagle.rom.addr.v6.ld` of SDK 3.0.6): jumps into our own. What
// is not here is zeros, which is no instruction: a call of it ends in the fault handler, which tells the address.

        .section .rom.table, "ax"
        .begin no-transform

        .macro  at address, target
        .org    \address - 0x40000400
        j       \target
        .endm

        at      0x40000454, rom_set_exception_handler   // _xtos_set_exception_handler
        at      0x40000650, __muldi3
        at      0x40000DC0, rom_set_idle                // ets_set_idle_cb
        at      0x40000DD0, rom_task                    // ets_task
        at      0x40000E04, rom_run                     // ets_run
        at      0x40000E24, rom_post                    // ets_post
        at      0x40000F74, rom_intr_lock
        at      0x40000F80, rom_intr_unlock
        at      0x40000F88, rom_isr_attach              // ets_isr_attach
        at      0x40000F98, rom_isr_mask                // ets_isr_mask
        at      0x40000FA8, rom_isr_unmask              // ets_isr_unmask
        at      0x400018A4, memset                      // ets_memset
        at      0x400018B4, memcpy                      // ets_memcpy
        at      0x400018C4, memmove                     // ets_memmove
        at      0x400018D4, memcmp                      // ets_memcmp
        at      0x40001DA0, rom_write_char              // ets_write_char
        at      0x40001F00, rom_vprintf                 // ets_vprintf
        at      0x4000242C, rom_install_putc            // ets_install_putc1
        at      0x400024CC, rom_printf                  // ets_printf
        at      0x400025E0, rom_reset_reason            // rtc_get_reset_reason
        at      0x40002A88, strcpy                      // ets_strcpy
        at      0x40002A98, strncpy                     // ets_strncpy
        at      0x40002AA8, strcmp                      // ets_strcmp
        at      0x40002AB8, strncmp                     // ets_strncmp
        at      0x40002AC8, strlen                      // ets_strlen
        at      0x40002AE8, rom_bzero                   // ets_bzero
        at      0x40002ECC, rom_delay_us                // ets_delay_us
        at      0x40002F04, rom_set_frequency           // ets_update_cpu_frequency
        at      0x40002F0C, rom_frequency               // ets_get_cpu_frequency
        at      0x400031B4, rom_round_up                // roundup2
        at      0x400043C8, rom_read_status             // SPI_read_status
        at      0x40004400, rom_write_status            // SPI_write_status
        at      0x4000443C, rom_wait_idle               // SPI_write_enable
        at      0x4000448C, rom_wait_idle               // Wait_SPI_Idle
        at      0x40004678, rom_cache_enable            // Cache_Read_Enable
        at      0x400047F0, rom_cache_disable           // Cache_Read_Disable
        at      0x40004A00, rom_erase_sector            // SPIEraseSector
        at      0x40004A4C, rom_write                   // SPIWrite
        at      0x40004B1C, rom_read                    // SPIRead
        at      0x40004F40, rom_build_chain             // lldesc_build_chain
        at      0x400060D0, rom_radio_nothing           // rom_chip_v5_disable_cca
        at      0x400060EC, rom_radio_nothing           // rom_chip_v5_enable_cca
        at      0x40006B08, rom_radio_table             // phy_get_romfuncs
        at      0x4000BFA8, strncmp
        at      0x4000C180, __addsf3
        at      0x4000C268, __subsf3
        at      0x4000C3DC, __mulsf3
        at      0x4000C4C4, __fixunssfsi
        at      0x4000C538, __adddf3
        at      0x4000C688, __subdf3
        at      0x4000C8F0, __muldf3
        at      0x4000CB94, __divdf3
        at      0x4000CCB8, __fixdfsi
        at      0x4000CD00, __fixunsdfsi
        at      0x4000CD5C, __truncdfsf2
        at      0x4000CDFC, __extendsfdf2
        at      0x4000CE60, __divdi3
        at      0x4000D310, __udivdi3
        at      0x4000D770, __umoddi3
        at      0x4000DC88, __divsi3
        at      0x4000DEA8, memcmp
        at      0x4000DF48, memcpy
        at      0x4000E04C, memmove
        at      0x4000E190, memset
        at      0x4000E21C, __udivsi3
        at      0x4000E268, __umodsi3
        at      0x4000E2A4, __floatunsisf
        at      0x4000E2AC, __floatsisf
        at      0x4000E2E8, __floatunsidf
        at      0x4000E2F0, __floatsidf

        .end no-transform

// The arguments of printf behind the format in a row: five registers, then what the caller put on its stack.

        .section .text.rom_printf, "ax"
        .global rom_printf
        .type   rom_printf, @function
        .align  4
rom_printf:
        addi    a1, a1, -32
        s32i    a0, a1, 0
        s32i    a3, a1, 12
        s32i    a4, a1, 16
        s32i    a5, a1, 20
        s32i    a6, a1, 24
        s32i    a7, a1, 28
        addi    a3, a1, 12
        call0   rom_format
        l32i    a0, a1, 0
        addi    a1, a1, 32
        ret

        .section .text.rom_intr_lock, "ax"
        .global rom_intr_lock
        .type   rom_intr_lock, @function
        .align  4
rom_intr_lock:
        rsil    a2, 3
        ret

        .section .text.rom_intr_unlock, "ax"
        .global rom_intr_unlock
        .type   rom_intr_unlock, @function
        .align  4
rom_intr_unlock:
        rsil    a2, 0
        ret

// Leaves for what was loaded from flash: a2 = its entry.

        .section .text.rom_enter, "ax"
        .global rom_enter
        .type   rom_enter, @function
        .align  4
        .literal_position
rom_enter:
        movi    a1, 0x3FFFFFF0                  // the chip's stack
        jx      a2

        .section .text.rom_radio_nothing, "ax"
        .global rom_radio_nothing               // returns 0
        .type   rom_radio_nothing, @function
        .align  4
rom_radio_nothing:
        movi    a2, 0
        ret

        .section .note.GNU-stack, "", @progbits
