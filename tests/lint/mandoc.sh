#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual pages are good for mandoc too, which other systems and the web use.
. "${0%/*}/common.sh"
need mandoc
files '*.[178]' | xargs mandoc -T lint -W warning || exit 1
echo "$(files '*.[178]' | wc -l) pages looked at"
