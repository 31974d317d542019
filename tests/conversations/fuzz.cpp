// SPDX-License-Identifier: MIT
//
// Random conversations: peers that ask several sockets on several ports at whatever address; copies of these
// sockets and siblings with SO_REUSEPORT; threads and workers that read and answer for each other, at once or
// late, in order or not; calls that fail, addresses that come and go, threads that are cancelled and workers
// that are killed. The model (model.hpp) says where each answer has to come from.
//
//   multihome_conversations_fuzz --library FILE [--faults FILE] [--seed N] [--steps N] [--trace yes]
//
// Without --faults no call fails.
//
// A failure names the seed of its program: with that seed and --trace, what led to it is shown.

#include "tests/conversations/model.hpp"
#include "tests/conversations/script.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

using namespace multihome::conversations; // NOLINT(google-build-using-namespace)

namespace {

constexpr int skipped = 77; // what ctest takes for "could not run here"
constexpr size_t port_count = 4;
constexpr size_t peer_count = 6;
constexpr size_t thread_count = 3; // the first one too
constexpr size_t worker_count = 2;
constexpr size_t actor_count = thread_count + worker_count;
constexpr size_t coming_and_going = 3; // the number of that address
// So many steps with one program; then another one starts.
constexpr unsigned steps_of_a_program = 3000;

const std::string& address_that_comes_and_goes(Family family) {
    static const std::string v4 = "198.51.100.77";
    static const std::string v6 = "2001:db8:2::77";
    return family == Family::v4 ? v4 : v6;
}

// One program, and all that talk to it.
class Conversing {
public:
    Conversing(Family family, const std::string& library, const std::string& faults, uint64_t seed);
    void step();
    void trace() { is_traced_ = true; }
    Conversing(const Conversing&) = delete;
    Conversing& operator=(const Conversing&) = delete;

    uint64_t answers = 0;
    uint64_t exact = 0; // of which only one source was right

private:
    struct Port {
        in_port_t port = 0;
        std::vector<int> sockets;               // of the threads
        std::vector<std::vector<int>> workers_; // of each worker: those that were there when it was forked
    };
    struct Known {
        size_t conversation_port;
        size_t peer;
        size_t generation; // of the peer
        size_t asked;
        uint64_t token;
        Name name; // as the program has it
    };

    size_t random(size_t below) { return random_() % below; }
    bool chance(size_t one_in) { return random(one_in) == 0; }
    std::string address(size_t number) const {
        return number == coming_and_going ? address_that_comes_and_goes(family_) : addresses(family_)[number];
    }
    Conversation conversation(const Known& question) const {
        return {question.peer * 1'000'000 + question.generation, question.conversation_port};
    }
    Conversation conversation(size_t peer, size_t port) const {
        return {peer * 1'000'000 + generations_[peer], port};
    }
    bool is_worker(size_t actor) const { return actor >= thread_count; }
    std::vector<int>& sockets(size_t actor, Port& port) {
        return is_worker(actor) ? port.workers_[actor - thread_count] : port.sockets;
    }
    int any_socket(size_t actor, size_t port) {
        std::vector<int>& all = sockets(actor, ports_[port]);
        return all[random(all.size())];
    }
    Order order(size_t actor, Verb verb, int fd) {
        static constexpr uint32_t calls[] = {0, static_cast<uint32_t>(Flag::message),
                                             static_cast<uint32_t>(Flag::batch)};
        Order order = actors_[actor]->order(verb, fd);
        order.flags = calls[random(3)];
        return order;
    }

    void tell(const char* event, size_t actor, const Known& question) const;
    void ask();
    bool read(size_t actor);
    void judge(Addresses allowed, const Name& source, size_t port, const char* what);
    Addresses faulty_send(size_t actor, const Known& question, Order& send, Addresses allowed);
    void hear(size_t actor, const Outcome& outcome);
    void answer(size_t actor, size_t index, bool in_order = false);
    void answer_burst();
    void push();
    void change_sockets();
    void snapshot_for(size_t worker);
    void begin_receiving(size_t actor);
    void collect(size_t actor);
    void cancel_thread();
    void kill_worker();
    void set_address(bool present);
    void renew_peer(size_t peer);

    Family family_;
    std::mt19937_64 random_;
    Program program_;
    std::vector<Actor*> actors_;
    std::vector<Port> ports_;
    std::vector<Peer> peers_;
    std::vector<size_t> generations_;
    std::set<std::pair<size_t, in_port_t>> used_ports_;
    std::map<uint64_t, Known> asked_; // and not read yet
    std::vector<Known> waiting_;      // read and not answered yet
    Model model_;
    bool is_present_ = false; // the address that comes and goes
    bool is_traced_ = false;
    bool has_faults_;
};

Conversing::Conversing(Family family, const std::string& library, const std::string& faults, uint64_t seed)
    : family_(family), random_(seed), program_(library + ":" + faults, "MULTIHOME_TIMEOUTS=3600,3600"),
      ports_(port_count), generations_(peer_count), has_faults_(!faults.empty()) {
    actors_.push_back(&program_.main());
    while (actors_.size() < thread_count)
        actors_.push_back(&program_.start_thread());
    for (Port& port : ports_) {
        port.sockets.push_back(program_.main().open(family_, {Flag::reuse_port}));
        port.port = program_.main().port_of(port.sockets[0]);
        port.workers_.resize(worker_count);
    }
    for (size_t worker = 0; worker < worker_count; ++worker) {
        actors_.push_back(&program_.start_worker());
        snapshot_for(worker);
    }
    for (unsigned number = 0; number < peer_count; ++number)
        peers_.emplace_back(peer_address(family_, number));
    set_address(true);
    // It is known from the first that this program answers late, and in other threads than hear.
    const Question question = peers_[0].ask(addresses(family_)[1], ports_[0].port);
    const Outcome heard = actors_[0]->receive(ports_[0].sockets[0]);
    actors_[1]->send(ports_[0].sockets[0], heard.name, question.token);
    peers_[0].hear(question.token);
    renew_peer(0);
}

void Conversing::snapshot_for(size_t worker) {
    for (Port& port : ports_)
        port.workers_[worker] = port.sockets;
}

void Conversing::tell(const char* event, size_t actor, const Known& question) const {
    if (is_traced_)
        std::printf("%s: actor %zu, peer %zu, port %zu, asked %s, question %llu\n", event, actor,
                    question.peer, question.conversation_port, address(question.asked).c_str(),
                    static_cast<unsigned long long>(question.token));
}

void Conversing::ask() {
    const size_t peer = random(peer_count);
    const size_t port = random(port_count);
    const size_t asked = random(is_present_ ? coming_and_going + 1 : coming_and_going);
    const Question question = peers_[peer].ask(address(asked), ports_[port].port);
    asked_[question.token] = {port, peer, generations_[peer], asked, question.token, {}};
}

// One datagram, if one is there.
bool Conversing::read(size_t actor) {
    const std::vector<int>& all = sockets(actor, ports_[random(port_count)]);
    Order receive = order(actor, Verb::receive, -1);
    receive.patience = 0;
    receive.count = static_cast<uint32_t>(std::min(all.size(), maximum_others));
    std::copy_n(all.begin(), receive.count, std::begin(receive.others));
    if (has_faults_ && chance(20)) {
        static constexpr int errors[] = {EINTR, ENOMEM, EAGAIN};
        receive.fault = Fault::receive;
        receive.fault_errno = errors[random(3)];
    }
    const Outcome outcome = actors_[actor]->try_to(receive);
    if (outcome.error != 0) {
        if (outcome.error != ETIMEDOUT && outcome.error != receive.fault_errno)
            fail(std::string{"a receive that should fail in another way: "} + std::strerror(outcome.error));
        return false;
    }
    hear(actor, outcome);
    return true;
}

void Conversing::hear(size_t actor, const Outcome& outcome) {
    const auto found = asked_.find(outcome.token);
    if (found == asked_.end())
        fail("a datagram that nobody has sent, or that came twice");
    Known question = found->second;
    question.name = outcome.name;
    asked_.erase(found);
    tell("read", actor, question);
    model_.heard(actor, conversation(question), question.token, question.asked);
    waiting_.push_back(question);
}

void Conversing::judge(Addresses allowed, const Name& source, size_t port, const char* what) {
    ++answers;
    std::string wanted;
    unsigned count = 0;
    for (size_t number = 0; number <= coming_and_going; ++number) {
        if ((allowed & only(number)) == 0)
            continue;
        ++count;
        wanted += " " + address(number);
        if (is_same_address(name_of(address(number), ports_[port].port), source)) {
            exact += (allowed & (allowed - 1)) == 0 ? 1U : 0U;
            return;
        }
    }
    fail(std::string{what} + " came from " + text_of(source) + ", should be" + wanted);
}

// A send that fails the first time, as the program sees or does not see. Returns the sources that are right
// then.
Addresses Conversing::faulty_send(size_t actor, const Known& question, Order& send, Addresses allowed) {
    static constexpr int errors[] = {EINTR, ENOMEM, EAGAIN, EINVAL};
    send.fault = Fault::send;
    send.fault_errno = errors[random(4)];
    const Outcome outcome = actors_[actor]->try_to(send);
    if (outcome.error != 0 && outcome.error != send.fault_errno)
        fail(std::string{"a send that should fail in another way: "} + std::strerror(outcome.error));
    tell(std::strerror(send.fault_errno), actor, question); // NOLINT(concurrency-mt-unsafe): one thread
    // EINVAL says that this is no source any more, and what was known of the peer is forgotten.
    if (send.fault_errno == EINVAL) {
        model_.forget(conversation(question));
        allowed = Model::anywhere;
    } else if (outcome.error == 0) {
        fail("a send that was to fail did not");
    }
    send.fault = Fault::none;
    if (outcome.error != 0)
        actors_[actor]->carry_out(send);
    return allowed;
}

void Conversing::answer(size_t actor, size_t index, bool in_order) {
    const Known question = waiting_[index];
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(index));
    if (question.generation != generations_[question.peer])
        return; // the peer has gone
    Addresses allowed =
        model_.answer(actor, conversation(question), question.token, question.asked, in_order);
    // It is refused, and what was known of the peer is forgotten.
    if (question.asked == coming_and_going && !is_present_) {
        model_.forget(conversation(question));
        allowed = Model::anywhere;
    }
    tell(in_order ? "answer in order" : "answer", actor, question);
    Order send = order(actor, Verb::send, any_socket(actor, question.conversation_port));
    send.name = question.name;
    send.token = question.token;
    if (has_faults_ && chance(20))
        allowed = faulty_send(actor, question, send, allowed);
    else
        actors_[actor]->carry_out(send);
    model_.answered(actor, conversation(question), question.token);
    judge(allowed, peers_[question.peer].hear(question.token), question.conversation_port, "an answer");
}

// Sockets that one actor reads until they are empty, and then answers in order.
void Conversing::answer_burst() {
    const size_t actor = random(actor_count);
    const size_t before = waiting_.size();
    for (size_t count = 1 + random(12); count > 0; --count)
        ask();
    std::vector<int> emptied;
    for (size_t count = 1 + random(3); count > 0; --count) {
        const int socket = any_socket(actor, random(port_count));
        // A copy that was emptied already would begin another round.
        if (std::find(emptied.begin(), emptied.end(), socket) != emptied.end())
            continue;
        emptied.push_back(socket);
        for (;;) {
            Order receive = order(actor, Verb::receive, socket);
            // A batch is a round of its own.
            if (receive.flags == static_cast<uint32_t>(Flag::batch))
                receive.flags = 0;
            receive.flags |= static_cast<uint32_t>(Flag::dont_wait);
            const Outcome outcome = actors_[actor]->try_to(receive);
            if (outcome.error == EAGAIN)
                break;
            hear(actor, outcome);
        }
    }
    // A thread remembers the order of 96 (run.hpp), some of which it may have read before.
    const bool in_order = waiting_.size() - before <= 64;
    while (waiting_.size() > before)
        answer(actor, before, in_order);
}

// Something that nobody has asked for, or the first word.
void Conversing::push() {
    const size_t peer = random(peer_count);
    const size_t port = random(port_count);
    const size_t actor = random(actor_count);
    if (model_.waits(conversation(peer, port).first))
        return;
    const Addresses allowed = model_.pushed(conversation(peer, port));
    static uint64_t token = uint64_t{1} << 63; // no question's
    tell("push", actor, {port, peer, generations_[peer], 0, 0, {}});
    Order send = order(actor, Verb::send, any_socket(actor, port));
    send.name = peers_[peer].name();
    send.token = ++token;
    actors_[actor]->carry_out(send);
    judge(allowed, peers_[peer].hear(send.token), port, "what the program sent on its own");
}

// Copies and siblings come and go.
void Conversing::change_sockets() {
    Port& port = ports_[random(port_count)];
    const size_t actor = random(thread_count);
    if (port.sockets.size() > 1 && (port.sockets.size() > 5 || chance(2))) {
        const size_t index = random(port.sockets.size());
        actors_[actor]->carry_out(actors_[actor]->order(Verb::close, port.sockets[index]));
        port.sockets.erase(port.sockets.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (chance(2)) {
        port.sockets.push_back(
            actors_[actor]
                ->carry_out(actors_[actor]->order(Verb::copy, port.sockets[random(port.sockets.size())]))
                .fd);
    } else {
        port.sockets.push_back(actors_[actor]->open(family_, {Flag::reuse_port}, port.port));
    }
}

// The actor is to wait in a call, or has just come back from it. Returns when it has begun.
void Conversing::begin_receiving(size_t actor) {
    const size_t port = random(port_count);
    Order receive = order(actor, Verb::receive, any_socket(actor, port));
    receive.flags |= static_cast<uint32_t>(Flag::announced);
    actors_[actor]->give(receive);
    actors_[actor]->take();
    // What comes there may be lost with the actor, before or after the shim has seen it. Then the peer waits
    // for an answer, which may come from any port.
    for (const auto& [token, question] : asked_)
        if (question.conversation_port == port)
            for (size_t any_port = 0; any_port < port_count; ++any_port)
                model_.forget({question.peer * 1'000'000 + question.generation, any_port});
}

// What the actor has read before it ended, if it was so quick.
void Conversing::collect(size_t actor) {
    if (const std::optional<Outcome> outcome = actors_[actor]->take_if_there())
        asked_.erase(outcome->token);
}

// A thread is cancelled in a call, or just after it.
void Conversing::cancel_thread() {
    const size_t actor = 1 + random(thread_count - 1);
    if (chance(2))
        ask();
    begin_receiving(actor);
    program_.cancel(*actors_[actor]);
    tell("cancelled", actor, {});
    collect(actor);
    program_.start_thread_again(*actors_[actor]);
    model_.begin_again(actor);
}

void Conversing::kill_worker() {
    const size_t worker = random(worker_count);
    const size_t actor = thread_count + worker;
    if (chance(2))
        begin_receiving(actor);
    program_.kill(*actors_[actor]);
    tell("killed", actor, {});
    collect(actor);
    // The new one knows what the thread that forks it knows.
    program_.start_worker_again(*actors_[actor]);
    model_.begin_again(actor, 0);
    snapshot_for(worker);
}

void Conversing::set_address(bool present) {
    if (is_present_ == present)
        return;
    is_present_ = present;
    tell(present ? "address added" : "address removed", 0, {});
    ip(std::string{family_ == Family::v4 ? "" : "-6 "} + "address " + (present ? "replace " : "delete ") +
       address(coming_and_going) + (family_ == Family::v4 ? "/32 dev lo" : "/128 dev lo nodad"));
    model_.forget_all_that_asked(coming_and_going);
}

void Conversing::renew_peer(size_t peer) {
    tell("new peer", 0, {0, peer, generations_[peer], 0, 0, {}});
    model_.forget_peer(conversation(peer, 0).first);
    ++generations_[peer];
    // With a port of its own: with one that it has had before it would be the same peer.
    used_ports_.insert({peer, peers_[peer].name().v4.sin_port});
    do
        peers_[peer] = Peer{peer_address(family_, static_cast<unsigned>(peer))};
    while (used_ports_.contains({peer, peers_[peer].name().v4.sin_port}));
}

void Conversing::step() {
    const size_t choice = random(1000);
    if (choice < 250)
        ask();
    else if (choice < 550)
        read(random(actor_count));
    else if (choice < 800 && !waiting_.empty())
        answer(random(actor_count), chance(2) ? 0 : random(waiting_.size()));
    else if (choice < 860)
        answer_burst();
    else if (choice < 920)
        push();
    else if (choice < 950)
        change_sockets();
    else if (choice < 980)
        renew_peer(random(peer_count));
    else if (choice < 985)
        cancel_thread();
    else if (choice < 988)
        kill_worker();
    else if (choice < 990)
        set_address(!is_present_);
}

struct Options {
    std::string library;
    std::string faults;
    uint64_t seed = std::random_device{}() & 0xffffffffU;
    uint64_t steps = 20'000;
    bool is_traced = false;
};

Options read_options(int count, char** arguments) {
    Options options;
    for (int index = 1; index + 1 < count; index += 2) {
        const std::string name = arguments[index];
        const std::string value = arguments[index + 1];
        if (name == "--library")
            options.library = value;
        else if (name == "--faults")
            options.faults = value;
        else if (name == "--seed")
            options.seed = std::stoull(value);
        else if (name == "--steps")
            options.steps = std::stoull(value);
        else if (name == "--trace")
            options.is_traced = value == "yes";
        else
            fail("unknown option " + name);
    }
    if (options.library.empty())
        fail("usage: multihome_conversations_fuzz --library FILE [--faults FILE] [--seed N] [--steps N] "
             "[--trace yes]");
    return options;
}

int fuzz(const Options& options) {
    become_a_host();
    uint64_t answers = 0;
    uint64_t exact = 0;
    for (uint64_t done = 0, program = 0; done < options.steps; ++program) {
        const uint64_t seed = options.seed + program;
        Conversing conversing{seed % 2 == 0 ? Family::v4 : Family::v6, options.library, options.faults, seed};
        if (options.is_traced)
            conversing.trace();
        for (unsigned step = 0; step < steps_of_a_program && done < options.steps; ++step, ++done) {
            try {
                conversing.step();
            } catch (const std::runtime_error& error) {
                std::printf("FAIL: --seed %llu, step %u: %s\n%s", static_cast<unsigned long long>(seed), step,
                            error.what(), lost_datagrams().c_str());
                return 1;
            }
        }
        answers += conversing.answers;
        exact += conversing.exact;
    }
    std::printf(
        "--seed %llu: %llu steps, %llu answers, %llu of them with one source that is right, 0 wrong\n",
        static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(options.steps),
        static_cast<unsigned long long>(answers), static_cast<unsigned long long>(exact));
    return 0;
}

} // namespace

int main(int count, char** arguments) {
    setenv("MULTIHOME_LOG", "off", 0); // NOLINT(concurrency-mt-unsafe): one thread
    try {
        return fuzz(read_options(count, arguments));
    } catch (const Skip& skip) {
        std::printf("SKIP: %s\n", skip.what());
        return skipped;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAIL: %s\n", error.what());
        return 2;
    }
}
