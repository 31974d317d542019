// SPDX-License-Identifier: MIT
//
// Whose memory this is. A vfork child shares the parent's memory but not its descriptors: what it closes or
// opens is no business of the words (descriptor_words.hpp).
#pragma once

namespace multihome::process {

// Called once, when the library is loaded.
void start();

// This thread is about to call vfork(): afterwards the child runs in it, and when that has ended, the parent.
void before_vfork();

// True in a vfork child. Makes no system call but after a vfork() of this thread: one in the parent, and one
// each time in the child. A child that is made by clone(2) itself, with the parent's memory, goes unnoticed:
// what it closes the parent finds out anew, as it does with a socket that it has inherited.
bool is_vfork_child();

} // namespace multihome::process
