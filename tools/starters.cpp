// SPDX-License-Identifier: MIT
#include "tools/starters.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <string_view>

#include "tools/program.hpp"

namespace multihome::tools {
namespace {

using Words = std::vector<std::string>;
using Word = Words::const_iterator;

constexpr std::string_view variable = "LD_PRELOAD";

std::string name_of(const std::string& program) {
    return program.substr(program.rfind('/') + 1);
}

bool has(Word begin, Word end, std::string_view wanted) {
    return std::find(begin, end, wanted) != end;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> list) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

/// As in -E LD_PRELOAD and --setenv=LD_PRELOAD=...
bool names_variable(Word begin, Word end) {
    return std::any_of(begin, end,
                       [](const std::string& word) { return word.find(variable) != std::string::npos; });
}

/// What a unit puts in for a variable may be any option.
bool has_variable(Word begin, Word end) {
    return std::any_of(begin, end, [](const std::string& word) { return word.starts_with('$'); });
}

/// True for the words of timeout(1), taskset(1) and the like that are no command: options, and numbers, with
/// a unit (0.5h, 4K), or as a mask or a list (0x3, 0-3,8). An option's word that is neither is taken for the
/// command, which is no file then: nothing is said.
bool is_option_or_number(std::string_view word) {
    if (word.starts_with('-') || word.starts_with("0x"))
        return true;
    if (!word.empty() && std::string_view("smhdKMG").find(word.back()) != word.npos)
        word.remove_suffix(1);
    return !word.empty() && word.find_first_not_of("0123456789.,:-") == word.npos;
}

class Look {
public:
    Look(const Words& words, Started& started) : end_(words.end()), started_(started) { look(words.begin()); }

private:
    void look(Word at);
    void look_at_env(Word at);
    void look_at_su(Word at);

    void drops(const std::string& what, const std::string& advice) {
        started_.obstacle = Obstacle{starter_ + " " + what, advice, "started by " + starter_};
    }
    void clears(const std::string& option) {
        drops(fmt::format("{} clears the environment, and LD_PRELOAD with it", option),
              fmt::format("leave it out, or write {} {} ... multihome COMMAND", starter_, option));
    }

    Word end_;
    Started& started_;
    std::string starter_;
    bool is_moved_ = false;
};

/// env(1) up to its command.
void Look::look_at_env(Word at) {
    // What a unit clears away, it may set again.
    const bool is_set_again = std::any_of(at, end_, [](const std::string& word) {
        return word.starts_with("LD_PRELOAD=") && word.find("libmultihome.so") != std::string::npos;
    });
    for (; at != end_; ++at) {
        const std::string word = plain_env_word(*at);
        if ((word == "-" || word == "--ignore-environment" || word.starts_with("-i")) && !is_set_again)
            return clears(word);
        // Another file by that name may be started than is found here.
        is_moved_ =
            is_moved_ || word.starts_with("PATH=") || word.starts_with("-C") || word.starts_with("--chdir");
        const bool takes_next =
            is_one_of(word, {"-u", "--unset", "-C", "--chdir", "-a", "--argv0"}) && at + 1 != end_;
        const bool unsets = is_one_of(word, {"-u", "--unset"});
        if ((word == "-uLD_PRELOAD" || word == "--unset=LD_PRELOAD" ||
             (takes_next && unsets && at[1] == variable)) &&
            !is_set_again)
            return drops("takes LD_PRELOAD out of the environment", "leave that option out");
        if (word.starts_with("-S") || word.starts_with("--split-string")) {
            started_.program.clear();
            return;
        }
        if (word.starts_with("LD_PRELOAD=")) {
            if (!is_set_again)
                return drops("replaces what is preloaded", "add the library to that LD_PRELOAD");
        } else if (!word.starts_with('-') && word.find('=') == std::string::npos) {
            return look(at);
        }
        if (takes_next)
            ++at;
    }
}

/// su(1) or runuser(1), which clear the environment for a login shell. They read options behind the user's
/// name as well. How many words the command behind -c has, systemd does not say.
void Look::look_at_su(Word at) {
    std::string login;
    bool starts_a_command = false;
    for (; at != end_; ++at) {
        const std::string& word = *at;
        if (word == "--" || is_one_of(word, {"-c", "--command", "--session-command"}))
            break;
        if (word == "-" || word.starts_with("-l") || word == "--login") {
            if (login.empty())
                login = word;
        } else if (word.starts_with("-w") || word.starts_with("--whitelist-environment")) {
            if (word.find(variable) != std::string::npos ||
                (at + 1 != end_ && at[1].find(variable) != std::string::npos))
                return;
        } else if (is_one_of(word,
                             {"-u", "--user", "-g", "-G", "-s", "--group", "--supp-group", "--shell"})) {
            starts_a_command = starts_a_command || is_one_of(word, {"-u", "--user"});
            if (at + 1 != end_)
                ++at;
        } else if (!word.starts_with('-') && starts_a_command) {
            break; // the command that runuser -u starts
        }
    }
    if (!login.empty())
        drops(fmt::format("{} clears the environment, and LD_PRELOAD with it", login),
              fmt::format("leave it out, or use User= in the unit, or write {} {} ... -c 'multihome COMMAND'",
                          starter_, login));
}

void Look::look(Word at) {
    starter_ = name_of(*at);
    started_.program = is_moved_ && !at->starts_with('/') ? std::string{} : *at;
    const Word begin = at + 1;
    if (starter_ == "env") {
        look_at_env(begin);
    } else if (is_one_of(starter_,
                         {"chrt", "ionice", "nice", "nohup", "setsid", "stdbuf", "taskset", "timeout"})) {
        const Word command =
            std::find_if_not(begin, end_, [](const std::string& word) { return is_option_or_number(word); });
        if (command != end_)
            look(command);
    } else if (starter_ == "ip") {
        if (end_ - begin > 3 && begin[0] == "netns" && begin[1] == "exec")
            look(begin + 3);
    } else if (is_one_of(starter_, {"su", "runuser"})) {
        look_at_su(begin);
    } else if (starter_ == "setpriv") {
        if (has(begin, end_, "--reset-env"))
            clears("--reset-env");
    } else if (is_one_of(starter_, {"sudo", "doas", "pkexec", "run0"})) {
        drops("removes LD_PRELOAD from the environment",
              fmt::format("use User= in the unit, or write {} ... multihome COMMAND", starter_));
    } else if (is_one_of(starter_, {"systemctl", "service", "invoke-rc.d", "systemd-run", "machinectl"})) {
        // A scope is of processes that systemd-run starts itself.
        if (starter_ == "systemd-run" && (has(begin, end_, "--scope") || names_variable(begin, end_)))
            return;
        drops("asks another process to start the server, which does not see this environment",
              "name the unit that it starts");
        started_.elsewhere = true;
    } else if (is_one_of(starter_, {"docker", "podman", "nerdctl", "systemd-nspawn"})) {
        if (names_variable(begin, end_))
            return;
        drops("starts the server in a container, which does not see this environment",
              "install libmultihome in the image and set LD_PRELOAD there, or use multihomectl attach "
              "--cgroup PATH");
        started_.elsewhere = true;
    } else if (starter_ == "systemd-socket-activate") {
        if (!names_variable(begin, end_) && !has_variable(begin, end_))
            drops("hands nothing of the environment on", "add -E LD_PRELOAD");
    } else if (is_one_of(starter_, {"inetd", "openbsd-inetd"})) {
        if (!has(begin, end_, "-E") && !has_variable(begin, end_))
            drops("clears the environment of what it starts",
                  "add -E, or start the server in inetd.conf through multihome");
    }
}

} // namespace

Started look_at_starters(const std::vector<std::string>& words) {
    Started started;
    if (words.empty())
        return started;
    const Look look(words, started);
    // What stands behind multihome(1) has the library, whatever comes before it.
    if (std::any_of(words.begin(), words.end(),
                    [](const std::string& word) { return name_of(word) == "multihome"; }))
        started = {words.front(), std::nullopt, false};
    return started;
}

} // namespace multihome::tools
