// SPDX-License-Identifier: MIT
//
// The server under stress: plain sockets, bound to the wildcard, nothing known of the shim. It sends each
// request back to whom it came from, and prints the port that it is bound to. It ends when its standard input
// does.
//
//   multihome_stress_server STYLE
//     reply   recvfrom(), sendto(), one after the other
//     batch   recvmmsg() of up to 64, sendmmsg() of as many
//     drain   recvfrom() until there is nothing more, then the answers in the order of the requests
//     pool    four threads on the one socket; requests go through a queue, and are answered out of order,
//             never by the thread that has read them
//     readers two threads that read and two that answer

#include <arpa/inet.h>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr size_t maximum_request = 64;

struct Request {
    std::array<char, maximum_request> data{};
    size_t length = 0;
    sockaddr_in peer{};
    unsigned reader = 0;
};

// One datagram; false where there is none (or, with blocking, never).
bool receive(int fd, int flags, Request& request) {
    socklen_t length = sizeof request.peer;
    const ssize_t received = recvfrom(fd, request.data.data(), request.data.size(), flags,
                                      reinterpret_cast<sockaddr*>(&request.peer), &length);
    if (received < 0)
        return false;
    request.length = static_cast<size_t>(received);
    return true;
}

void answer(int fd, const Request& request) {
    if (sendto(fd, request.data.data(), request.length, 0, reinterpret_cast<const sockaddr*>(&request.peer),
               sizeof request.peer) < 0)
        std::perror("sendto");
}

void reply(int fd) {
    Request request;
    while (receive(fd, 0, request))
        answer(fd, request);
}

void drain(int fd) {
    std::vector<Request> requests;
    pollfd readable{fd, POLLIN, 0};
    while (poll(&readable, 1, -1) == 1) {
        requests.clear();
        Request request;
        while (receive(fd, MSG_DONTWAIT, request))
            requests.push_back(request);
        for (const Request& each : requests)
            answer(fd, each);
    }
}

void batch(int fd) {
    constexpr unsigned size = 64;
    std::vector<Request> requests(size);
    std::vector<mmsghdr> messages(size);
    std::vector<iovec> data(size);
    for (;;) {
        for (unsigned index = 0; index < size; ++index) {
            data[index] = {requests[index].data.data(), requests[index].data.size()};
            msghdr& message = messages[index].msg_hdr;
            message = {};
            message.msg_name = &requests[index].peer;
            message.msg_namelen = sizeof requests[index].peer;
            message.msg_iov = &data[index];
            message.msg_iovlen = 1;
        }
        const int received = recvmmsg(fd, messages.data(), size, MSG_WAITFORONE, nullptr);
        if (received < 0)
            return;
        for (unsigned index = 0; index < static_cast<unsigned>(received); ++index)
            data[index].iov_len = messages[index].msg_len;
        for (unsigned sent = 0; sent < static_cast<unsigned>(received);) {
            const int count = sendmmsg(fd, messages.data() + sent, static_cast<unsigned>(received) - sent, 0);
            if (count < 0) {
                std::perror("sendmmsg");
                return;
            }
            sent += static_cast<unsigned>(count);
        }
    }
}

// Requests on their way from the threads that read them to those that answer them.
class Queue {
public:
    void put(const Request& request) {
        {
            const std::lock_guard lock{mutex_};
            requests_.push_back(request);
        }
        filled_.notify_one();
    }

    // Any request that another thread than `reader` has read; alternately the newest and the oldest.
    std::optional<Request> take_from_others(unsigned reader) {
        const std::lock_guard lock{mutex_};
        from_the_end_ = !from_the_end_;
        for (size_t step = 0; step < requests_.size(); ++step) {
            const size_t index = from_the_end_ ? requests_.size() - 1 - step : step;
            if (requests_[index].reader == reader)
                continue;
            const Request request = requests_[index];
            requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(index));
            return request;
        }
        return std::nullopt;
    }

    Request wait_and_take() {
        std::unique_lock lock{mutex_};
        filled_.wait(lock, [this] { return !requests_.empty(); });
        from_the_end_ = !from_the_end_;
        const Request request = from_the_end_ ? requests_.back() : requests_.front();
        if (from_the_end_)
            requests_.pop_back();
        else
            requests_.pop_front();
        return request;
    }

private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<Request> requests_;
    bool from_the_end_ = false;
};

// Each thread reads what there is and answers what others have read, as the threads of an event loop do.
void pool(int fd) {
    constexpr unsigned threads = 4;
    Queue queue;
    std::vector<std::thread> workers;
    for (unsigned number = 0; number < threads; ++number)
        workers.emplace_back([&queue, fd, number] {
            for (;;) {
                Request request;
                const bool received = receive(fd, MSG_DONTWAIT, request);
                if (received) {
                    request.reader = number;
                    queue.put(request);
                }
                // Some stay in the queue for a while, so that those that come later overtake them.
                const std::optional<Request> next = queue.take_from_others(number);
                if (next)
                    answer(fd, *next);
                if (!received && !next) {
                    pollfd readable{fd, POLLIN, 0};
                    poll(&readable, 1, 1);
                }
            }
        });
    for (std::thread& worker : workers)
        worker.join();
}

void readers(int fd) {
    Queue queue;
    std::vector<std::thread> workers;
    for (unsigned number = 0; number < 2; ++number) {
        workers.emplace_back([&queue, fd] {
            Request request;
            while (receive(fd, 0, request))
                queue.put(request);
        });
        workers.emplace_back([&queue, fd] {
            for (;;)
                answer(fd, queue.wait_and_take());
        });
    }
    for (std::thread& worker : workers)
        worker.join();
}

struct Style {
    std::string_view name;
    void (*serve)(int);
};
constexpr Style styles[] = {
    {"reply", reply}, {"batch", batch}, {"drain", drain}, {"pool", pool}, {"readers", readers}};

} // namespace

int main(int count, char** arguments) {
    const Style* chosen = nullptr;
    for (const Style& style : styles)
        if (count == 2 && style.name == arguments[1])
            chosen = &style;
    if (chosen == nullptr) {
        std::fprintf(stderr, "usage: %s reply|batch|drain|pool|readers\n", arguments[0]);
        return 2;
    }
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t length = sizeof name;
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&name), length) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) {
        std::perror("bind");
        return 1;
    }
    std::printf("%u\n", ntohs(name.sin_port));
    std::fflush(stdout);
    std::thread([] {
        char byte = 0;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
            // Until whoever started us has gone.
        }
        _exit(0);
    }).detach();
    chosen->serve(fd);
    std::perror("receive");
    return 1;
}
