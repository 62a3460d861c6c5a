/*
 * What `core::intrinsics::abort` calls: an illegal instruction, so that it ends where other faults end.
 * Compiled code has the instruction in the place of the call (xtask/src/firmware/shrink/peephole.rs), so that the
 * exception tells where it happened; this is for calls that are left.
 */
	.section .text.abort, "ax"
	.global	abort
	.type	abort, @function
	.align	4
abort:
	ill
	j	abort
	.size	abort, . - abort
