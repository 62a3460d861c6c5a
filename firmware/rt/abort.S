/*
 * What `core::intrinsics::abort` calls: an illegal instruction, so that it ends where other faults end.
 * Weak, so that a board may bring its own.
 */
	.section .text.abort, "ax"
	.weak	abort
	.type	abort, @function
	.align	4
abort:
	ill
	j	abort
	.size	abort, . - abort
