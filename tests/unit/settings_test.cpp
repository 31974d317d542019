// SPDX-License-Identifier: MIT
#include "shim/base/settings.hpp"

#include "shim/base/log.hpp"

#include "child.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::settings_test {

namespace {

using Ports = std::bitset<65536>;

// What a process whose environment has `name` set to `value` makes of it, as the exit status of a forked
// child, and what it says on standard error.
struct Outcome {
    int status = -1;
    std::string said;
};

// `judge`: 0 where the settings are as they should be.
Outcome load_with(const char* name, const char* value, int (*judge)(const Settings&)) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = test::fork_clean();
    REQUIRE(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        // settings::load() works once a process, so this child's is the first.
        setenv(name, value, 1); // NOLINT(concurrency-mt-unsafe)
        log::remember_standard_error();
        settings::load();
        _exit(judge(settings::get()));
    }
    close(ends[1]);
    Outcome outcome;
    char buffer[512];
    for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        outcome.said.append(buffer, static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        outcome.status = WEXITSTATUS(status);
    return outcome;
}

int is_default(const Settings& settings) {
    const Settings expected;
    return settings.disabled == expected.disabled && settings.same_interface == expected.same_interface &&
                   settings.ports == nullptr && settings.peers == expected.peers &&
                   settings.timeouts == expected.timeouts && settings.log_level == expected.log_level &&
                   settings.log_file == expected.log_file
               ? 0
               : 1;
}

size_t lines(const std::string& text) {
    size_t count = 0;
    for (const char character : text)
        count += character == '\n' ? 1 : 0;
    return count;
}

} // namespace

TEST_SUITE_BEGIN("settings");

TEST_CASE("a switch is 0 or 1") {
    bool value = false;
    CHECK(settings::parse_switch("1", value));
    CHECK(value);
    for (const char* bad : {"", "2", "yes", "true", "on", "1 0", "01", "-1", "+1"}) {
        CAPTURE(bad);
        CHECK_FALSE(settings::parse_switch(bad, value));
        CHECK(value); // untouched
    }
    CHECK(settings::parse_switch("0", value));
    CHECK_FALSE(value);
}

TEST_CASE("a log level is one of six words") {
    LogLevel level = LogLevel::off;
    const std::pair<const char*, LogLevel> good[] = {{"trace", LogLevel::trace}, {"debug", LogLevel::debug},
                                                     {"info", LogLevel::info},   {"warn", LogLevel::warn},
                                                     {"error", LogLevel::error}, {"off", LogLevel::off}};
    for (const auto& pair : good) {
        const char* const text = pair.first;
        CAPTURE(text);
        CHECK(settings::parse_log_level(text, level));
        CHECK(level == pair.second);
    }
    for (const char* also_good : {"DEBUG", "Debug", " debug ", "deBUG"}) {
        CAPTURE(also_good);
        level = LogLevel::off;
        CHECK(settings::parse_log_level(also_good, level));
        CHECK(level == LogLevel::debug);
    }
    level = LogLevel::info;
    for (const char* bad : {"", " ", "warning", "in fo", "\x09nfo", "3", "none", "inf", "infos"}) {
        CAPTURE(bad);
        CHECK_FALSE(settings::parse_log_level(bad, level));
        CHECK(level == LogLevel::info);
    }
}

TEST_CASE("the number of peers has its bounds") {
    size_t peers = 0;
    CHECK(settings::parse_peers("64", peers));
    CHECK(peers == 64);
    CHECK(settings::parse_peers("262144", peers));
    CHECK(peers == 262'144);
    CHECK(settings::parse_peers("8388608", peers));
    CHECK(peers == 8'388'608);
    for (const char* bad : {"", "0", "63", "8388609", "-64", "+64", "6 4", " ", "64k", "1e6", "0x100",
                            "100.0", "99999999999999999999999", "18446744073709551680", "many"}) {
        CAPTURE(bad);
        CHECK_FALSE(settings::parse_peers(bad, peers));
        CHECK(peers == 8'388'608);
    }
}

TEST_CASE("ports are numbers and ranges") {
    // On the heap: a bitset of all ports is 8 KiB.
    const auto ports = std::make_unique<Ports>();
    CHECK(settings::parse_ports("53,5000-5100", *ports));
    CHECK(ports->count() == 102);
    CHECK(ports->test(53));
    CHECK(ports->test(5000));
    CHECK(ports->test(5100));
    CHECK_FALSE(ports->test(54));
    CHECK_FALSE(ports->test(5101));

    ports->reset();
    CHECK(settings::parse_ports("1-65535", *ports));
    CHECK(ports->count() == 65535);
    ports->reset();
    CHECK(settings::parse_ports("65535", *ports));
    CHECK(ports->test(65535));
    ports->reset();
    CHECK(settings::parse_ports(" 53, 54 ,60 - 62", *ports));
    CHECK(ports->count() == 5);
    ports->reset();
    CHECK(settings::parse_ports("7-7,7", *ports));
    CHECK(ports->count() == 1);
}

TEST_CASE("a list of ports with anything wrong in it is none") {
    const auto ports = std::make_unique<Ports>();
    for (const char* bad : {"",         ",",      "53,", ",53",   "53,,54", "0",        "0-53",  "65536",
                            "53-65536", "100-99", "53-", "-53",   "-",      "53-54-55", "53 54", "53, ,54",
                            "dns",      "53,dns", "+53", "53;54", "0x35",   "5 3"}) {
        CAPTURE(bad);
        CHECK_FALSE(settings::parse_ports(bad, *ports));
    }
}

TEST_CASE("timeouts are two numbers of seconds") {
    Settings::Timeouts timeouts;
    CHECK(timeouts == Settings::Timeouts{30, 120});
    CHECK(settings::parse_timeouts("1,1800", timeouts));
    CHECK(timeouts == Settings::Timeouts{1, 1800});
    CHECK(settings::parse_timeouts(" 60, 5 ", timeouts));
    CHECK(timeouts == Settings::Timeouts{60, 5});
    for (const char* bad : {"", ",", "30", "30,", ",120", "0,120", "30,0", "1801,120", "30,1801", "30,120,5",
                            "30;120", "30 120", "-30,120", "+30,120", "30s,120s", "1.5,120", "thirty,120"}) {
        CAPTURE(bad);
        CHECK_FALSE(settings::parse_timeouts(bad, timeouts));
        CHECK(timeouts == Settings::Timeouts{60, 5});
    }
}

TEST_CASE("without a list every port is wanted, with one those on it") {
    Settings settings;
    CHECK(settings.wants_port(htons(53)));
    const auto ports = std::make_unique<Ports>();
    ports->set(53);
    settings.ports = ports.get();
    CHECK(settings.wants_port(htons(53)));
    CHECK_FALSE(settings.wants_port(53)); // as it would be in host byte order
    CHECK_FALSE(settings.wants_port(htons(54)));
}

TEST_CASE("each variable is read, and an empty one is as none") {
    CHECK(load_with("MULTIHOME_DISABLE", "1", [](const Settings& s) { return s.disabled ? 0 : 1; }).status ==
          0);
    CHECK(load_with("MULTIHOME_SAME_INTERFACE", "1", [](const Settings& s) {
              return s.same_interface ? 0 : 1;
          }).status == 0);
    CHECK(load_with("MULTIHOME_PEERS", "1000", [](const Settings& s) {
              return s.peers == 1000 ? 0 : 1;
          }).status == 0);
    CHECK(load_with("MULTIHOME_LOG", "debug", [](const Settings& s) {
              return s.log_level == LogLevel::debug ? 0 : 1;
          }).status == 0);
    CHECK(load_with("MULTIHOME_PORTS", "53", [](const Settings& s) {
              return s.wants_port(htons(53)) && !s.wants_port(htons(54)) ? 0 : 1;
          }).status == 0);
    CHECK(load_with("MULTIHOME_TIMEOUTS", "2, 4", [](const Settings& s) {
              return s.timeouts == Settings::Timeouts{2, 4} ? 0 : 1;
          }).status == 0);
    CHECK(load_with("MULTIHOME_LOG_FILE", "/dev/null", [](const Settings& s) {
              return s.log_file != nullptr && std::string_view(s.log_file) == "/dev/null" ? 0 : 1;
          }).status == 0);
    for (const char* name :
         {"MULTIHOME_DISABLE", "MULTIHOME_SAME_INTERFACE", "MULTIHOME_PEERS", "MULTIHOME_TIMEOUTS",
          "MULTIHOME_LOG", "MULTIHOME_PORTS", "MULTIHOME_LOG_FILE"}) {
        CAPTURE(name);
        const Outcome outcome = load_with(name, "", is_default);
        CHECK(outcome.status == 0);
        CHECK(outcome.said.empty());
    }
}

TEST_CASE("a bad value is one clear line and the default") {
    for (const std::pair<const char*, const char*>& setting : {std::pair{"MULTIHOME_DISABLE", "yes"},
                                                               {"MULTIHOME_SAME_INTERFACE", "2"},
                                                               {"MULTIHOME_PEERS", "63"},
                                                               {"MULTIHOME_PEERS", "lots"},
                                                               {"MULTIHOME_TIMEOUTS", "30"},
                                                               {"MULTIHOME_LOG", "verbose"},
                                                               {"MULTIHOME_PORTS", "53,dns"}}) {
        const char* const name = setting.first;
        const char* const value = setting.second;
        CAPTURE(name);
        CAPTURE(value);
        const Outcome outcome = load_with(name, value, is_default);
        CHECK(outcome.status == 0);
        CAPTURE(outcome.said);
        CHECK(lines(outcome.said) == 1);
        CHECK(outcome.said.find("multihome[") != std::string::npos);
        CHECK(outcome.said.find("error") != std::string::npos);
        CHECK(outcome.said.find(std::string{name} + "=" + value) != std::string::npos);
    }
}

TEST_SUITE_END();

} // namespace multihome::settings_test
