// SPDX-License-Identifier: MIT
// What stands for the engine in a multihomectl that was built without clang, bpftool or libbpf.
#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"

namespace multihome::tools::engine {
namespace {

[[noreturn]] void refuse() {
    throw Impossible(
        "this multihomectl was built without the kernel engine: build it where clang, bpftool and "
        "libbpf-dev are installed (cmake -DMULTIHOME_KERNEL_ENGINE=ON)");
}

} // namespace

bool built_in() {
    return false;
}

std::vector<std::string> attach(const Request& /*request*/) {
    refuse();
}

std::vector<Attachment> attachments() {
    return {};
}

bool detach(std::uint64_t /*identity*/) {
    refuse();
}

void renew_exception(const ControlGroup& /*group*/) {
    refuse();
}

void for_each_conversation(std::uint64_t /*identity*/,
                           const std::function<void(const Conversation&)>& /*visit*/) {
    refuse();
}

} // namespace multihome::tools::engine
