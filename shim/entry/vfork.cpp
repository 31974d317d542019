// SPDX-License-Identifier: MIT
//
// vfork(2) returns twice into the caller's frame, so no frame of ours may stand in between. This one notes
// the call and jumps on. It is compiled without link-time optimization, which does not look into the
// assembler text.
#include "shim/base/libc.hpp"
#include "shim/sockets/process.hpp"

// Returns the function to jump to. Leaves errno alone.
extern "C" [[gnu::used, gnu::visibility("hidden")]] void* multihome_before_vfork() {
    multihome::process::before_vfork();
    return reinterpret_cast<void*>(multihome::libc::vfork.get());
}

asm(R"(
    .text
    .globl vfork
    .type vfork, %function
)"
#if defined(__x86_64__)
    R"(
vfork:
    .cfi_startproc
    endbr64
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call multihome_before_vfork
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .cfi_endproc
)"
#elif defined(__i386__)
    R"(
vfork:
    .cfi_startproc
    subl $12, %esp
    .cfi_adjust_cfa_offset 12
    call multihome_before_vfork
    addl $12, %esp
    .cfi_adjust_cfa_offset -12
    jmp *%eax
    .cfi_endproc
)"
#elif defined(__aarch64__)
    R"(
vfork:
    .cfi_startproc
    hint #34 // bti c
    stp x29, x30, [sp, #-16]!
    bl multihome_before_vfork
    ldp x29, x30, [sp], #16
    mov x16, x0
    br x16
    .cfi_endproc
)"
#elif defined(__arm__)
    R"(
    .syntax unified
    .arm
vfork:
    push {r3, lr}
    bl multihome_before_vfork
    pop {r3, lr}
    bx r0
)"
#else
#error "multihome knows how to jump on x86-64, aarch64, 32-bit x86 and 32-bit ARM only"
#endif
    ".size vfork, .-vfork");
#ifdef __thumb__
asm(".thumb"); // the compiler goes on in it
#endif
