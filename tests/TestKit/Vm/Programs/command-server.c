/*
 * PID 1 of a test guest once init.sh is done: runs shell commands for the test over a virtio-serial
 * port and reaps orphans. The other end is CommandChannel.cs.
 *
 * On start it sends 16 bytes of magic and a session word. Every frame after that, both ways,
 * is { u32 session, u32 id, u32 type, u32 length } and length bytes. A frame that was cut short by a
 * crash never harms the new boot: the word differs, and bytes before a known word are skipped.
 *
 *   to the guest    RUN   u32 length of the command, the command, then its whole standard input
 *                   KILL  ends the process group of command id
 *   to the host     OUT, ERR  output;   EXIT  u32 exit code (128 + signal), after all output
 *
 * Standard input is a memfd, filled before the command starts: a command that does not read it
 * cannot stall the port.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUN = 1, KILL = 2, OUT = 3, ERR = 4, EXIT = 5 };
enum { MAX_COMMANDS = 64, MAX_COMMAND_LENGTH = 1 << 20, CHUNK = 32768 };

static const char magic[] = "VSOCKPAIR-READY\n"; /* 16 bytes; keep in step with CommandChannel.cs */

struct frame {
    uint32_t session, id, type, length;
};

struct command {
    uint32_t id;
    pid_t pid; /* 0: slot is free */
    int out, err;
};

static int port;
static uint32_t session;
static struct command commands[MAX_COMMANDS];

static void die(const char *what)
{
    fprintf(stderr, "command-server: %s: %s\n", what, strerror(errno));
    exit(1); /* as PID 1: the kernel panics, and the test sees why on the console */
}

static void write_all(int fd, const void *data, size_t length)
{
    for (const char *p = data; length > 0;) {
        ssize_t n = write(fd, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("write");
        p += n;
        length -= n;
    }
}

/* Reads from the port; a host that is not connected reads as 0 bytes. */
static void read_all(void *data, size_t length)
{
    for (char *p = data; length > 0;) {
        ssize_t n = read(port, p, length);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            die("read");
        if (n == 0)
            usleep(20000);
        if (n > 0) {
            p += n;
            length -= n;
        }
    }
}

static void send_frame(uint32_t id, uint32_t type, const void *data, uint32_t length)
{
    struct frame header = { session, id, type, length };
    write_all(port, &header, sizeof header);
    write_all(port, data, length);
}

/* Forwards what one read gives; at end of file the descriptor is closed and forgotten. */
static void forward(int *fd, uint32_t id, uint32_t type)
{
    static char chunk[CHUNK];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n > 0)
        send_frame(id, type, chunk, n);
    if (n == 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Forwards what is in the pipe now. What the command left running may write for ever: do not wait for the end. */
static void finish(int *fd, uint32_t id, uint32_t type)
{
    int left = 0;
    if (*fd < 0)
        return;
    ioctl(*fd, FIONREAD, &left);
    while (left > 0) {
        static char chunk[CHUNK];
        ssize_t n = read(*fd, chunk, left < CHUNK ? left : CHUNK);
        if (n <= 0)
            break;
        send_frame(id, type, chunk, n);
        left -= n;
    }
    close(*fd);
    *fd = -1;
}

static void start(uint32_t id, char *text, int input)
{
    struct command *c = commands;
    while (c < commands + MAX_COMMANDS && c->pid)
        c++;
    int out[2], err[2];
    uint32_t failed = 126;
    if (c == commands + MAX_COMMANDS || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        const char *why = "command-server: too many commands at once\n";
        send_frame(id, ERR, why, strlen(why));
        send_frame(id, EXIT, &failed, sizeof failed);
        return;
    }

    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        setsid();
        dup2(input, 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        signal(SIGPIPE, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    *c = (struct command){ id, pid, out[0], err[0] };
}

static void receive_run(const struct frame *header)
{
    uint32_t text_length;
    read_all(&text_length, sizeof text_length);
    if (text_length > MAX_COMMAND_LENGTH) {
        errno = EMSGSIZE;
        die("command");
    }
    char *text = calloc(1, text_length + 1);
    if (!text)
        die("calloc");
    read_all(text, text_length);

    int input = memfd_create("stdin", MFD_CLOEXEC);
    if (input < 0)
        die("memfd_create");
    static char chunk[CHUNK];
    for (uint32_t left = header->length - sizeof text_length - text_length; left > 0;) {
        uint32_t part = left < sizeof chunk ? left : sizeof chunk;
        read_all(chunk, part);
        write_all(input, chunk, part);
        left -= part;
    }
    lseek(input, 0, SEEK_SET);
    start(header->id, text, input);
    close(input);
    free(text);
}

static void receive(void)
{
    struct frame header;
    read_all(&header.session, sizeof header.session);
    while (header.session != session) {
        /* The rest of something sent to an earlier boot. */
        header.session >>= 8;
        read_all((char *)&header.session + 3, 1);
    }
    read_all(&header.id, sizeof header - sizeof header.session);
    if (header.type == RUN) {
        receive_run(&header);
        return;
    }
    for (struct command *c = commands; c < commands + MAX_COMMANDS; c++)
        if (header.type == KILL && c->pid && c->id == header.id)
            kill(-c->pid, SIGKILL);
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct command *c = commands; c < commands + MAX_COMMANDS; c++) {
            if (c->pid != pid)
                continue;
            finish(&c->out, c->id, OUT);
            finish(&c->err, c->id, ERR);
            uint32_t code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            send_frame(c->id, EXIT, &code, sizeof code);
            c->pid = 0;
        }
    }
}

static void child_ended(int signal_number)
{
    (void)signal_number; /* only there to interrupt poll */
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    port = open(argv[1], O_RDWR | O_CLOEXEC);
    if (port < 0)
        die(argv[1]);
    /* Not getrandom: it would wait 2 s for a young guest's entropy, and all that counts is to differ from the boot before. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    session = (uint32_t)now.tv_sec * 2654435761u ^ (uint32_t)now.tv_nsec;

    signal(SIGPIPE, SIG_IGN);
    sigset_t child, none;
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL); /* delivered only inside ppoll: none is missed between reap and poll */
    struct sigaction action = { .sa_handler = child_ended };
    sigaction(SIGCHLD, &action, NULL);

    write_all(port, magic, 16);
    write_all(port, &session, sizeof session);

    for (;;) {
        struct pollfd fds[1 + 2 * MAX_COMMANDS] = { { .fd = port, .events = POLLIN } };
        reap();
        for (int i = 0; i < MAX_COMMANDS; i++) {
            fds[1 + 2 * i] = (struct pollfd){ .fd = commands[i].pid ? commands[i].out : -1, .events = POLLIN };
            fds[2 + 2 * i] = (struct pollfd){ .fd = commands[i].pid ? commands[i].err : -1, .events = POLLIN };
        }
        if (ppoll(fds, 1 + 2 * MAX_COMMANDS, NULL, &none) < 0)
            continue; /* EINTR: a child ended */
        for (int i = 0; i < MAX_COMMANDS; i++) {
            if (fds[1 + 2 * i].revents)
                forward(&commands[i].out, commands[i].id, OUT);
            if (fds[2 + 2 * i].revents)
                forward(&commands[i].err, commands[i].id, ERR);
        }
        if (fds[0].revents & POLLHUP)
            usleep(20000); /* no host for the moment */
        if (fds[0].revents & POLLIN)
            receive();
    }
}
