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
    Window(const sockaddr_in& server, size_t size, uint32_t peers, in_addr_t first_peer = many_peers_base)
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
    unsigned receive(int fd, unsigned& right) {
        for (mmsghdr& answer : answers_)
            answer.msg_hdr.msg_namelen = sizeof(sockaddr_in);
        const int got = recvmmsg(fd, answers_.data(), largest_window, MSG_WAITFORONE, nullptr);
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

Load::Load(const sockaddr_in& server, unsigned threads, unsigned window, size_t size, uint32_t peers)
    : server_(server), window_(window), size_(size), peers_(peers), counts_(threads) {
    if (window > largest_window || size > largest_datagram || peers > most_peers)
        throw std::invalid_argument("load: window or datagram too large");
    for (Count& count : counts_)
        threads_.emplace_back([this, &count](const std::stop_token& stop) { ask(stop, count); });
}

void Load::ask(const std::stop_token& stop, Count& count) const {
    const Descriptor fd = client_socket(patience_ms);
    Window window(server_, size_, peers_);
    unsigned under_way = 0;
    while (!stop.stop_requested()) {
        if (paused_.load(std::memory_order_relaxed)) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        under_way += window.send(fd.get(), window_ - under_way);
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

namespace {

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

Load::Answers sweep(const sockaddr_in& server, in_addr_t first, uint32_t count, unsigned passes) {
    const Descriptor fd = client_socket(patience_ms);
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

} // namespace multihome::bench
