/*
 * Writes what a trace directory holds to standard output: metadata, then the ring buffer of each CPU, emptied.
 *
 *   trace-capture TRACEFS SUB_BUFFER_BYTES
 *
 * Output: {u32 length of name, name, u32 length, bytes} for each file; the rings are named cpu0, cpu1, ...
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *content;
static size_t used, room;

static void append_all(int fd, size_t piece)
{
    ssize_t n;
    do {
        if (room - used < piece)
            content = realloc(content, room = room * 2 + piece);
        n = read(fd, content + used, piece);
        if (n > 0)
            used += n;
    } while (n > 0);
}

static void put(const char *name, const char *path, size_t piece)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return;
    used = 0;
    append_all(fd, piece);
    close(fd);
    uint32_t length = strlen(name), size = used;
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(name, length, 1, stdout);
    fwrite(&size, sizeof size, 1, stdout);
    fwrite(content, used, 1, stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: trace-capture TRACEFS SUB_BUFFER_BYTES\n");
        return 2;
    }
    if (chdir(argv[1])) {
        perror(argv[1]);
        return 1;
    }
    static const char *patterns[] = {"events/header_page", "events/header_event", "events/*/*/format", "printk_formats", "saved_cmdlines"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t files;
        if (glob(patterns[i], 0, NULL, &files) == 0)
            for (size_t j = 0; j < files.gl_pathc; j++)
                put(files.gl_pathv[j], files.gl_pathv[j], 65536);
    }
    put("kallsyms", "/proc/kallsyms", 65536);
    for (int cpu = 0;; cpu++) {
        char name[32], path[64];
        snprintf(name, sizeof name, "cpu%d", cpu);
        snprintf(path, sizeof path, "per_cpu/%s/trace_pipe_raw", name);
        if (access(path, R_OK))
            break;
        put(name, path, atoi(argv[2]));
    }
    return fflush(stdout) != 0;
}
