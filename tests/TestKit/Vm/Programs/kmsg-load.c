/*
 * Writes numbered records into /dev/kmsg, each one of a cycle of shapes: plain, several lines, bytes that are no UTF-8, terminal escapes, long.
 *
 *   kmsg-load COUNT
 *
 * Each ends with a newline: the kernel keeps a record without one open, and shows it to no reader before the next is written.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: kmsg-load COUNT\n");
        return 2;
    }
    long count = atol(argv[1]);
    int kmsg = open("/dev/kmsg", O_WRONLY);
    if (kmsg < 0) {
        perror("/dev/kmsg");
        return 1;
    }
    char filler[700];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    for (long i = 0; i < count; i++) {
        char text[900];
        int length;
        switch (i % 5) {
        case 0: length = snprintf(text, sizeof text, "<5>kmsg-load %ld plain\n", i); break;
        case 1: length = snprintf(text, sizeof text, "<4>kmsg-load %ld first line\nsecond line\n third\n", i); break;
        case 2: length = snprintf(text, sizeof text, "<3>kmsg-load %ld not utf8 \xff\xfe\xc3( \x80\n", i); break;
        case 3: length = snprintf(text, sizeof text, "<6>kmsg-load %ld \x1b[2J\x1b]0;title\x07 back\\slash \r\t\n", i); break;
        default: length = snprintf(text, sizeof text, "<7>kmsg-load %ld %s\n", i, filler); break;
        }
        if (write(kmsg, text, length) != length) {
            perror("write /dev/kmsg");
            return 1;
        }
    }
    return 0;
}
