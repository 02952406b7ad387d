/* Prints every record that /dev/kmsg holds now, each as read() gives it. A record lost meanwhile (EPIPE) is passed over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char record[8192];
    int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    if (kmsg < 0) {
        perror("/dev/kmsg");
        return 1;
    }
    for (;;) {
        ssize_t n = read(kmsg, record, sizeof record);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno == EPIPE)
            continue;
        if (n <= 0) {
            perror("read /dev/kmsg");
            return 1;
        }
        if (fwrite(record, 1, n, stdout) != (size_t)n)
            return 1;
    }
}
