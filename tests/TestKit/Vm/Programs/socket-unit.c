// socket-unit PORT PROGRAM [ARGUMENT]... : becomes PROGRAM with a listening AF_VSOCK socket at descriptor 3, as systemd hands over a socket unit's (sd_listen_fds(3)).
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: socket-unit PORT PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    struct sockaddr_vm own = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)atoi(argv[1]) };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0 || listen(fd, 1024) != 0) {
        perror("AF_VSOCK");
        return 1;
    }
    if (fd != 3) {
        dup2(fd, 3);
        close(fd);
    }
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
