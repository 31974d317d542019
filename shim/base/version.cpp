// SPDX-License-Identifier: MIT
//
// The library's version, for multihomectl and strings(1), which read it in the file or in a process that has
// loaded it. Nothing in the library reads it, so we tell the compiler and the linker to keep it.

namespace {

[[gnu::used, gnu::retain]] const char version[] = "multihome-version " MULTIHOME_VERSION;

} // namespace
