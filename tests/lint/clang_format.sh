#!/bin/sh
# SPDX-License-Identifier: MIT
# The C++ files are laid out as .clang-format says.
. "${0%/*}/common.sh"
need clang-format
files '*.cpp' '*.hpp' '*.h' '*.c' | xargs -n 40 -P 2 clang-format --dry-run -Werror || exit 1
echo "$(files '*.cpp' '*.hpp' '*.h' '*.c' | wc -l) files are laid out as .clang-format says"
