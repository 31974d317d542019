// SPDX-License-Identifier: MIT
#include "tools/bench/client.hpp"
#include "tools/bench/server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <sys/socket.h>

namespace multihome::bench {

namespace {

constexpr unsigned largest_window = 64;
// What has not come by then was lost; a stop is noticed as late.
constexpr int patience_ms = 50;

// The requests that are under way from one socket, sent and taken in as many at a time as there are, so that
// the server and not its client is what limits.
class Window {
public:
    Window(const sockaddr_in& server, size_t size, uint32_t peers, in_addr_t first_peer)
        : server_(server), peers_(peers), first_peer_(first_peer), data_(size, 'x') {
        for (unsigned index = 0; index < largest_window; ++index) {
            parts_[index] = {data_.data(), size};
            msghdr& request = requests_[index].msg_hdr;
            request = {};
            request.msg_name = &server_;
            request.msg_namelen = sizeof server_;
            request.msg_iov = &parts_[index];
            request.msg_iovlen = 1;
            if (peers != 0)
                prepare_source(request, control_[index]);
            answer_parts_[index] = {answer_data_.data(), answer_data_.size()};
            msghdr& answer = answers_[index].msg_hdr;
            answer = {};
            answer.msg_name = &sources_[index];
            answer.msg_iov = &answer_parts_[index];
            answer.msg_iovlen = 1;
        }
    }

    unsigned send(int fd, unsigned count) {
        for (unsigned index = 0; peers_ != 0 && index < count; ++index)
            set_source(control_[index], first_peer_ + next_peer_++ % peers_);
        const int sent = sendmmsg(fd, requests_.data(), count, 0);
        return sent > 0 ? static_cast<unsigned>(sent) : 0;
    }

    // How many came, and of those from the address that was asked. 0 where none did in time.
    unsigned receive(int fd, unsigned& right, int flags = MSG_WAITFORONE) {
        for (mmsghdr& answer : answers_)
            answer.msg_hdr.msg_namelen = sizeof(sockaddr_in);
        const int got = recvmmsg(fd, answers_.data(), largest_window, flags, nullptr);
        right = 0;
        for (int index = 0; index < got; ++index)
            right += sources_[static_cast<unsigned>(index)].sin_addr.s_addr == server_.sin_addr.s_addr;
        return got > 0 ? static_cast<unsigned>(got) : 0;
    }

private:
    sockaddr_in server_;
    uint32_t peers_;
    in_addr_t first_peer_;
    uint32_t next_peer_ = 0;
    std::vector<char> data_;
    std::array<char, largest_datagram> answer_data_{};
    std::array<iovec, largest_window> parts_{};
    std::array<iovec, largest_window> answer_parts_{};
    std::array<SourceControl, largest_window> control_{};
    std::array<sockaddr_in, largest_window> sources_{};
    std::array<mmsghdr, largest_window> requests_{};
    std::array<mmsghdr, largest_window> answers_{};
};

void add(std::atomic<uint64_t>& count, uint64_t amount) {
    // Written by one thread alone.
    count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

} // namespace

Load::Load(const LoadSettings& settings) : settings_(settings), counts_(settings.threads) {
    if (settings.window > largest_window || settings.size > largest_datagram || settings.peers > most_peers)
        throw std::invalid_argument("load: window or datagram too large");
    for (Count& count : counts_)
        threads_.emplace_back([this, &count](const std::stop_token& stop) { ask(stop, count); });
}

void Load::ask(const std::stop_token& stop, Count& count) const {
    if (settings_.place != Place::anywhere)
        move_to(settings_.place);
    const Descriptor fd = client_socket(patience_ms);
    Window window(settings_.server, settings_.size, settings_.peers, settings_.first_peer);
    unsigned under_way = 0;
    while (!stop.stop_requested()) {
        if (paused_.load(std::memory_order_relaxed)) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        under_way += window.send(fd.get(), settings_.window - under_way);
        unsigned right = 0;
        const unsigned got = window.receive(fd.get(), right);
        add(count.all, got);
        add(count.right, right);
        under_way = got != 0 && got < under_way ? under_way - got : 0;
    }
}

Load::Answers Load::answers() const {
    Answers sum;
    for (const Count& count : counts_) {
        sum.all += count.all.load(std::memory_order_relaxed);
        sum.right += count.right.load(std::memory_order_relaxed);
    }
    return sum;
}

Load::Answers Load::answers_after(std::chrono::milliseconds duration, const Answers& before) const {
    constexpr unsigned patience = 100;
    // More than could have been under way all the time, so that the server has had to run for them.
    const uint64_t enough = before.all + uint64_t{4} * settings_.threads * settings_.window;
    for (unsigned tries = 0; tries < patience; ++tries) {
        std::this_thread::sleep_for(duration);
        const Answers now = answers();
        if (now.all > enough)
            return now;
    }
    throw std::runtime_error("load: hardly any answers");
}

namespace {

Descriptor client_at(uint16_t own_port) {
    Descriptor fd = client_socket(patience_ms);
    enlarge_buffers(fd.get());
    const sockaddr_in own = address_of(INADDR_ANY, own_port);
    check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), "bind");
    return fd;
}

Load::Answers sweep_once(int fd, Window& window, uint32_t count) {
    constexpr unsigned together = 32;
    Load::Answers answers;
    for (uint32_t asked = 0; asked < count;) {
        const unsigned sent = window.send(fd, std::min<uint32_t>(together, count - asked));
        if (sent == 0)
            fail("sendmmsg");
        asked += sent;
        for (unsigned taken = 0; taken < sent;) {
            unsigned right = 0;
            const unsigned got = window.receive(fd, right);
            if (got == 0)
                break;
            taken += got;
            answers.all += got;
            answers.right += right;
        }
    }
    return answers;
}

} // namespace

Load::Answers sweep(const sockaddr_in& server, in_addr_t first, uint32_t count, uint16_t own_port,
                    unsigned passes) {
    const Descriptor fd = client_at(own_port);
    Window window(server, 32, count, first);
    Load::Answers answers;
    for (unsigned pass = 0; pass < passes; ++pass) {
        // A flow that goes on for two seconds is one that connection tracking does not give up for another.
        if (pass > 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(2100));
        answers = sweep_once(fd.get(), window, count);
    }
    return answers;
}

Paced ask_at_rate(const sockaddr_in& server, in_addr_t first, uint32_t count, uint16_t own_port,
                  unsigned rate, std::chrono::milliseconds duration) {
    using Clock = std::chrono::steady_clock;
    constexpr unsigned together = 16; // so few that nobody's queue runs over
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(together)) / rate;
    const Descriptor fd = client_at(own_port);
    Window window(server, 32, count, first);
    Paced paced;
    const auto take = [&](int flags) {
        unsigned right = 0;
        const unsigned got = window.receive(fd.get(), right, flags);
        paced.answers.all += got;
        paced.answers.right += right;
        return got != 0;
    };
    const auto end = Clock::now() + duration;
    for (auto next = Clock::now(); next < end;) {
        std::this_thread::sleep_until(next);
        paced.asked += window.send(fd.get(), together);
        while (take(MSG_DONTWAIT)) {
        }
        // What a busy machine has kept us from sending is not made up for: it would come all at once.
        next = std::max(next + interval, Clock::now() - std::chrono::milliseconds(1));
    }
    while (take(MSG_WAITFORONE)) {
    }
    return paced;
}

} // namespace multihome::bench
