// SPDX-License-Identifier: MIT
//
// Tells in which process we run. A vfork child shares its parent's memory but not its descriptors. So what it
// opens and closes must not change the words (descriptor_words.hpp).
#pragma once

namespace multihome::process {

// Called once, when the library is loaded.
void start();

// True where the service manager has passed sockets (sd_listen_fds(3)). Nobody need have used them yet.
bool may_have_inherited();

// Notes that this thread is about to call vfork(). First the child runs in it, then the parent again.
void before_vfork();

// True in a vfork child. Makes a system call only after a vfork() of this thread: one in the parent, and one
// each time in the child. Does not notice a child that clone(2) itself has made in the parent's memory. Where
// such a child closes a descriptor, the parent looks at it anew, as with a socket that it has inherited.
bool is_vfork_child();

} // namespace multihome::process
