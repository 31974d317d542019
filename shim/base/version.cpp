// SPDX-License-Identifier: MIT
//
// The library's version. strings(1) and multihomectl find it in the file, and in a process that has loaded
// it:
//
//   $ strings libmultihome.so | grep '^multihome-version '
//
// Nothing in the library reads it, so we tell the compiler and the linker to keep it.

namespace {

[[gnu::used, gnu::retain]] const char version[] = "multihome-version " MULTIHOME_VERSION;

} // namespace
