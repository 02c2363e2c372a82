//! Where in a function a breakpoint costs least.
//!
//! The kernel acts out a few instructions by itself (pushes, jumps, calls, `nop`: 0.5 us); any
//! other has to be stepped in the process, which takes a second exception (some 10 us). The first
//! of the former will do as long as the first argument is still where it was, and every call of
//! the function passes there once.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register,
};

/// How far from the beginning is looked.
const FAR: u64 = 24;
/// How much of the function is looked at for jumps back.
pub(super) const CODE: usize = 512;

/// How far behind its beginning the function with this code is best hooked; 0 where nothing is
/// better.
pub(super) fn best(code: &[u8]) -> u64 {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut facts = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() && decoder.ip() < FAR {
        decoder.decode_out(&mut instruction);
        let at = instruction.ip();
        let bytes = code.get(at as usize..instruction.next_ip() as usize).unwrap_or_default();
        if instruction.is_invalid() || bytes.is_empty() {
            return 0;
        }
        if is_acted_out(bytes) {
            return if is_target(code, at) { 0 } else { at };
        }
        if instruction.flow_control() != FlowControl::Next || changes_it(&mut facts, &instruction) {
            return 0;
        }
    }
    0
}

/// Whether the kernel acts this instruction out (`branch_setup_insn` and `push_setup_insn` of
/// arch/x86/kernel/uprobes.c; pushes since 4.16).
fn is_acted_out(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x50..=0x57]
            | [0x41, 0x50..=0x57]
            | [0x90]
            | [0x70..=0x7f | 0xeb, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
    )
}

/// Whether the first argument is another one after this.
fn changes_it(facts: &mut InstructionInfoFactory, instruction: &Instruction) -> bool {
    facts.info(instruction).used_registers().iter().any(|used| {
        used.register().full_register() == Register::RDI
            && !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead)
    })
}

/// Whether a jump from somewhere in this code leads there: it would be passed more than once.
fn is_target(code: &[u8], there: u64) -> bool {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let jumps = matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
        );
        if jumps && there > 0 && instruction.near_branch_target() == there {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_acted_out_is_taken() {
        // glibc 2.36: test %rdi,%rdi; je; push %rbp.
        let free = [0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0, 0x55];
        assert_eq!(best(&free), 3);
        // endbr64; push %r12.
        assert_eq!(best(&[0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x54, 0xc3]), 4);
        assert_eq!(best(&[0x41, 0x54, 0xc3]), 0);
    }

    #[test]
    fn never_behind_what_changes_the_argument_or_leaves() {
        // mov %rsi,%rdi; push %rbp.
        assert_eq!(best(&[0x48, 0x89, 0xf7, 0x55, 0xc3]), 0);
        // xor %edi,%edi; push %rbp.
        assert_eq!(best(&[0x31, 0xff, 0x55, 0xc3]), 0);
        // ret; push %rbp.
        assert_eq!(best(&[0xc3, 0x55]), 0);
    }

    #[test]
    fn never_where_a_loop_comes_back_to() {
        // test %rdi,%rdi; push %rbp; jmp to the push.
        assert_eq!(best(&[0x48, 0x85, 0xff, 0x55, 0xeb, 0xfd]), 0);
    }

    #[test]
    fn any_bytes_have_an_answer() {
        assert_eq!(best(&[]), 0);
        let mut state = 7u32;
        for _ in 0..2_000 {
            let code: Vec<u8> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            assert!(best(&code) < FAR);
        }
    }
}
