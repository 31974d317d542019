/* SPDX-License-Identifier: MIT
 *
 * The program that the launcher is asked to start. It prints what it sees: whether the kernel asked for
 * secure execution (the loader then drops LD_PRELOAD), whether the library is in it, and its arguments. Built
 * several times, in ways that preloading reaches and in ways that it does not. */
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef PROBE_GO_NOTE
/* What the Go linker writes: a note of type 4, named "Go". */
__attribute__((used, section(".note.go.buildid"), aligned(4))) static const struct {
    unsigned int name_size, content_size, type;
    char name[4], content[4];
} go_note = {4, 4, 4, "Go", {'t', 'e', 's', 't'}};
#endif

static int library_is_loaded(void) {
    char line[4096];
    int found = 0;
    FILE* maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, "/libmultihome.so") != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

int main(int argument_count, char** arguments) {
    printf("secure=%lu\npreloaded=%d\n", getauxval(AT_SECURE), library_is_loaded());
    for (int index = 0; index < argument_count; ++index)
        printf("<%s>\n", arguments[index]);
    return 0;
}
