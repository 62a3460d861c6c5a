/*
 * 128-bit division: the caller and the definition disagree, so a shim stands between them.
 *
 * LLVM's calls to these four functions pass the dividend in a2..a5 and the divisor in a6, a7, [sp], [sp+4].
 * The definitions in compiler_builtins, compiled for the same target, read the whole divisor from [sp]..[sp+12].
 * The build renames the definitions to `__spore_<name>`; each shim below has the name that callers use, and lays
 * the divisor out as the definition expects it. `f64 %` goes through `__umodti3` too. The differential test
 * (`cargo xtask difftest`, groups i128, u128 and floats) fails without these shims.
 */

	/* 16 bytes of arguments for the callee, the return address, and padding that keeps a1 aligned to 16. */
	.set	FRAME, 32
	.set	RETURN_ADDRESS, 16

	.macro	repack name
	.section .text.\name, "ax"
	.literal_position
	.global	\name
	.type	\name, @function
	.align	4
\name:
	addi	a1, a1, -FRAME
	s32i	a0, a1, RETURN_ADDRESS
	s32i	a6, a1, 0
	s32i	a7, a1, 4
	l32i	a8, a1, FRAME
	s32i	a8, a1, 8
	l32i	a8, a1, FRAME + 4
	s32i	a8, a1, 12
	movi	a0, __spore\name
	callx0	a0
	l32i	a0, a1, RETURN_ADDRESS
	addi	a1, a1, FRAME
	ret
	.size	\name, . - \name
	.endm

	repack	__udivti3
	repack	__umodti3
	repack	__divti3
	repack	__modti3
