// SPDX-License-Identifier: MIT
//
// The library's version, where strings(1) and multihomectl find it in the file and in a process that has it
// loaded:
//
//   $ strings libmultihome.so | grep '^multihome-version '
//
// Nothing in the library reads it, so the compiler and the linker have to be told to keep it.

namespace {

[[gnu::used, gnu::retain]] const char version[] = "multihome-version " MULTIHOME_VERSION;

} // namespace
