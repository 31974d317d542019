// SPDX-License-Identifier: MIT
// The running of steps on one side, shared by the files that do it.
#pragma once

#include "tools/differential/prepare.hpp"
#include "tools/differential/record.hpp"
#include "tools/differential/surroundings.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace multihome::differential {

class Runner {
public:
    Runner(Mailbox& mailbox, Target target, in_port_t first_port, bool isolated)
        : mailbox_(mailbox), functions_(target), surroundings_(first_port, isolated),
          shares_ports_(!isolated) {}

    void run();

private:
    void run_step(const Step& step);
    void call(const Step& step);
    long call_plainly(Symbol symbol, std::initializer_list<std::uint64_t> arguments);
    void after_call(const Step& step, const Layout& layout);
    void record_messages(const Layout& layout);
    void record_memory(const Layout& layout);
    void record_arrivals();
    void normalise_name(std::uintptr_t address, std::size_t length);
    void normalise_control_at(std::uintptr_t address, std::size_t length);
    void event(const Step& step);
    /// As SO_PROTOCOL tells it; 0 where there is none.
    static int protocol_of(int fd);
    /// A step is about to move data on a TCP socket.
    void note_tcp(const Step& step);
    [[nodiscard]] bool tcp_goes_by_the_clock() const { return tcp_sent_ > always_fits; }
    void inspect(int fd);
    void inspect_names(int fd);
    void note_address(const char* what, const sockaddr_storage& name);
    /// The same by libc alone, as a program without the library sees it.
    void inspect_bare(int fd);
    /// Sends a descriptor over a UNIX socket. True where that succeeded.
    bool send_descriptor(int fd);
    void pass(const Step& step);
    void hand_out(int fd);
    /// recv() and send(), which are not interposed.
    void move_unseen(const Step& step);
    void run_elsewhere(const Step& step);
    [[nodiscard]] int run_in_vfork_child(std::uint32_t end);
    void run_until(std::uint32_t end);
    void ask_other();
    bool asks_itself(int fd);
    bool may_answer_across_families(const Step& step);
    void reset();
    void add(Label label, std::size_t index, std::uint64_t value);
    void dump();

    Mailbox& mailbox_;
    Functions functions_;
    Memory memory_;
    Surroundings surroundings_;
    bool shares_ports_; // with the other side, which runs when this one has finished
    std::uint32_t step_ = 0;
    // The bytes that the sequence has sent on TCP sockets. Where they are more than always fit into the
    // smallest buffers, the clock decides how far they come.
    std::int64_t tcp_sent_ = 0;
    static constexpr std::int64_t always_fits = 1000;
    // In this sequence.
    bool has_connected_ = false;
    bool child_has_connected_ = false;
};

} // namespace multihome::differential
