#!/bin/sh
# SPDX-License-Identifier: MIT
# No misspelt words. "\(bu" is a bullet in a manual page, "datas" several pieces of data, doas a command, "in fo" a
# setting that is refused.
. "${0%/*}/common.sh"
need codespell
codespell --quiet-level 3 --ignore-words-list bu,datas,doas,fo,iif --skip './build*,./.git,./.cache,*.svg,*.json' . || exit 1
echo 'no misspelt words'
