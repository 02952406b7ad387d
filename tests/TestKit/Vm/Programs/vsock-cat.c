/*
 * vsock-cat CID PORT   sends standard input over AF_VSOCK, ends its sending side, then prints what comes back
 * vsock-cat -l PORT    accepts one connection and prints what arrives, its sender's CID first on standard error
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static void check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void copy(int from, int to)
{
    /* vhost-device-vsock stalls for ever on sends above 32768 bytes. */
    char chunk[16384];
    ssize_t n;
    while ((n = read(from, chunk, sizeof chunk)) > 0)
        for (ssize_t done = 0; done < n;) {
            ssize_t m = write(to, chunk + done, n - done);
            check(m, "write");
            done += m;
        }
    check(n, "read");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: vsock-cat CID PORT | vsock-cat -l PORT\n");
        return 2;
    }
    int listening = strcmp(argv[1], "-l") == 0;
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK,
        .svm_cid = listening ? VMADDR_CID_ANY : strtoul(argv[1], NULL, 0),
        .svm_port = strtoul(argv[2], NULL, 0),
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    check(fd, "socket(AF_VSOCK)");
    if (listening) {
        socklen_t length = sizeof address;
        check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
        check(listen(fd, 1), "listen");
        int peer = accept(fd, (struct sockaddr *)&address, &length);
        check(peer, "accept");
        fprintf(stderr, "connection from CID %u\n", address.svm_cid);
        copy(peer, STDOUT_FILENO);
    } else {
        check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
        copy(STDIN_FILENO, fd);
        check(shutdown(fd, SHUT_WR), "shutdown");
        copy(fd, STDOUT_FILENO);
    }
    return 0;
}
