/* SPDX-License-Identifier: MIT
 *
 * A library that somebody else preloads; the launcher has to leave it in place. */
extern int launcher_other_preload;
int launcher_other_preload = 1;
