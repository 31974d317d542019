// SPDX-License-Identifier: MIT
// A copy of the host's addresses, routes and rules in two network namespaces, which are joined by a veth pair
// for each interface. A recipe is tried there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tools/ask_exchange.hpp"
#include "tools/program.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {

/// A process that ends with this one.
class Child {
public:
    /// `work` is given what say_ready() takes.
    explicit Child(const std::function<void(int)>& work);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    Child(Child&&) = delete;
    Child& operator=(Child&&) = delete;
    ~Child();
    static void say_ready(int descriptor);

private:
    pid_t process_ = -1;
};

/// This process becomes the server's side.
class Copy {
public:
    /// Throws Impossible.
    Copy(const Host& host, const Plan& plan);

    /// An address behind both links, of no network that the host knows; empty where there is no default
    /// route.
    [[nodiscard]] std::string client_address(Family family) const;

    /// Asks each address that such a client reaches.
    [[nodiscard]] std::vector<Asked> ask(uint16_t port, const Patience& patience) const;

private:
    void run_client(const Command& command) const;
    [[nodiscard]] Command client_address_command(Family family) const;
    [[nodiscard]] std::vector<Endpoint> targets(uint16_t port) const;
    /// A link with no default route, which the recipe leaves alone, is none that such a client comes through.
    [[nodiscard]] bool is_concerned(const HostAddress& one) const;
    void add_link(const std::string& name);
    void add_address(const HostAddress& one);
    void add_router(Family family, const std::string& address, const std::string& peer) const;
    void add_route(const HostRoute& route);

    const Host& host_;
    const Plan& plan_;
    Descriptor client_namespace_;
    Descriptor server_namespace_;
    std::map<std::string, std::string> links_; ///< the interface here, and its other end
};

} // namespace multihome::tools::recipes
