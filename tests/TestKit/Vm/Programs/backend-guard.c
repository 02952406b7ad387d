/*
 * Preloaded into vhost-device-vsock 0.3.0, which does not survive its guest's reset: while the device is stopped (a warm reboot takes seconds), bytes that a
 * host program sends make its only worker look at a queue that is not ready, and end. So the worker sees no host socket as long as no queue is registered.
 *
 * The worker's epoll instance holds the queues' kick descriptors (user data 0 and 1) and, nested, an epoll instance of all host sockets.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RX_QUEUE 0
#define TX_QUEUE 1
#define PAUSE_MICROSECONDS 20000

static volatile int worker_epoll = -1, kick_fds[2] = { -1, -1 };

static int stopped(int epoll)
{
    return epoll == worker_epoll && (kick_fds[RX_QUEUE] < 0 || kick_fds[TX_QUEUE] < 0);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    if (!real)
        real = dlsym(RTLD_NEXT, "epoll_ctl");
    int result = real(epoll, operation, fd, event);
    if (result == 0 && operation == EPOLL_CTL_ADD && event->data.u64 <= TX_QUEUE) {
        worker_epoll = epoll;
        kick_fds[event->data.u64] = fd;
    }
    for (int queue = RX_QUEUE; queue <= TX_QUEUE; queue++)
        if (result == 0 && operation == EPOLL_CTL_DEL && epoll == worker_epoll && kick_fds[queue] == fd)
            kick_fds[queue] = -1;
    return result;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "epoll_wait");
    for (;;) {
        int n = real(epoll, events, most, timeout);
        if (n <= 0 || !stopped(epoll))
            return n;
        usleep(PAUSE_MICROSECONDS);
    }
}
