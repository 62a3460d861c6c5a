/*
 * Start-up of the differential test on QEMU's board: no interrupts, and memory that the chip does not have.
 * What is tested here is the compiler, so neither the heap nor the stack is held to the chip's limits.
 */

	/* QEMU's main memory (-m 64M) begins at 0x60000000; the heap (src/target.rs) begins 1 MB above its start. */
	.set	STACK_TOP, 0x60100000 - 16

	.section .vectors, "ax"
	.global	_vectors
_vectors:
	/* Offsets of the LX106's vectors that a fault without interrupts can reach. */
	.org	0x30
	wsr	a0, excsave1
	j	fault
	.org	0x50
	wsr	a0, excsave1
	j	fault
	.org	0x70
	j	double_fault
	.org	0x80
	.align	4
	.literal_position
double_fault:
	movi	a2, 0xDEAD
	j	report
	.align	4
fault:
	rsr	a2, exccause
report:
	rsr	a3, epc1
	rsr	a4, excvaddr
	rsr	a5, excsave1
	movi	a1, STACK_TOP
	movi	a0, difftest_fault
	callx0	a0
	movi	a0, park
	jx	a0

	.section .text.start, "ax"
	.literal_position
	.global	_start
	.align	4
_start:
	movi	a1, STACK_TOP
	movi	a3, _vectors
	wsr	a3, vecbase
	movi	a3, 0
	wsr	a3, intenable
	movi	a4, _bss_start
	movi	a5, _bss_end
	bgeu	a4, a5, 2f
1:	s32i	a3, a4, 0
	addi	a4, a4, 4
	bltu	a4, a5, 1b
2:	movi	a3, 0x20	/* PS.UM: exceptions go to the user vector; no interrupt level, no exception mode */
	wsr	a3, ps
	rsync
	movi	a0, difftest_main	/* a2 still holds QEMU's boot parameters */
	callx0	a0

	.global	park
	.align	4
park:
	waiti	15
	j	park
