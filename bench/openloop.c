/* An open-loop HTTP/1.1 load generator: requests are due at a constant rate, whether or not earlier ones have been answered.
 *
 *     openloop PORT CONNECTIONS RATE SECONDS WARM_SECONDS REQUEST_FILE
 *
 * Request k is due at start + k / RATE and goes out on the connection that has been idle longest; where none is idle it waits.
 * Its latency counts from when it was due, so a proxy that stalls pays for all requests that should have been sent meanwhile
 * (no coordinated omission). What is due in the first WARM_SECONDS is sent and not counted. Answers must be 200 and state
 * their Content-Length. Prints one line of JSON; latencies are microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 65536
#define GRACE 2000000000LL /* how long answers may take after the last request was due, ns */

typedef struct {
    int fd;
    int64_t due;    /* of the request in flight, ns */
    int64_t number; /* of the request in flight, -1 when idle */
    size_t held;    /* bytes of the answer's head read so far */
    long left;      /* bytes of the answer's body to come, -1 before its head is complete */
    char buffer[BUFFER];
} Connection;

static char request[BUFFER];
static size_t request_size;
static Connection *connections;
static int *idle, first_idle, idle_count, connection_count;
static int64_t answered, errors, warm, total;
static double *latencies;
static int64_t latency_count;

static void fail(const char *what) {
    fprintf(stderr, "openloop: %s: %s\n", what, errno ? strerror(errno) : "wrong answer");
    exit(1);
}

static int64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void rest(int index) {
    connections[index].number = -1;
    idle[(first_idle + idle_count++) % connection_count] = index;
}

static void dial(int index, int port, int epoll) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    connections[index].fd = fd;
    rest(index);
}

static void ask(int64_t number, int64_t due) {
    int index = idle[first_idle];
    first_idle = (first_idle + 1) % connection_count;
    idle_count--;
    Connection *it = &connections[index];
    it->number = number, it->due = due, it->held = 0, it->left = -1;
    if (send(it->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) fail("send");
}

/* Bytes of the body still to come after what is held, or -1 while the head is incomplete. */
static long body_left(Connection *it) {
    it->buffer[it->held] = 0;
    char *end = strstr(it->buffer, "\r\n\r\n");
    if (end == NULL) return -1;
    char *length = strcasestr(it->buffer, "\r\ncontent-length:");
    if (length == NULL || length > end) errno = 0, fail("an answer without Content-Length");
    if (strncmp(it->buffer + 8, " 200", 4) != 0) errors++;
    return atol(length + 17) - (long)(it->held - (size_t)(end + 4 - it->buffer));
}

static void take(int index) {
    Connection *it = &connections[index];
    size_t room = it->left < 0 ? BUFFER - 1 - it->held : BUFFER - 1;
    ssize_t got = recv(it->fd, it->left < 0 ? it->buffer + it->held : it->buffer, room, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || it->number < 0) fail("the connection was closed");
    if (it->left < 0) {
        it->held += (size_t)got;
        it->left = body_left(it);
        if (it->left < 0 && it->held >= BUFFER - 1) errno = 0, fail("an endless head");
    } else {
        it->left -= got;
    }
    if (it->left != 0) return;
    if (it->number >= warm) latencies[latency_count++] = (double)(now() - it->due) / 1000;
    answered++;
    rest(index);
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double percentile(double share) {
    return latency_count ? latencies[(int64_t)(share * (double)(latency_count - 1) + 0.5)] : 0;
}

static void set_alarm(int timer, int64_t at) {
    struct itimerspec when = {.it_value = {.tv_sec = at / 1000000000LL, .tv_nsec = at % 1000000000LL}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

int main(int count, char **arguments) {
    if (count != 7) return fprintf(stderr, "openloop PORT CONNECTIONS RATE SECONDS WARM_SECONDS REQUEST_FILE\n"), 2;
    double rate = atof(arguments[3]), seconds = atof(arguments[4]), warm_seconds = atof(arguments[5]);
    FILE *file = fopen(arguments[6], "r");
    if (file == NULL || (request_size = fread(request, 1, BUFFER, file)) == 0) fail(arguments[6]);
    connection_count = atoi(arguments[2]);
    warm = (int64_t)(rate * warm_seconds), total = (int64_t)(rate * (warm_seconds + seconds));
    connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof *idle);
    latencies = calloc((size_t)(total - warm) + 1, sizeof *latencies);
    if (rate <= 0 || connections == NULL || idle == NULL || latencies == NULL) fail("arguments");
    prctl(PR_SET_TIMERSLACK, 1);
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)connection_count}, events[256];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0) fail("epoll_ctl");
    for (int index = 0; index < connection_count; index++) dial(index, atoi(arguments[1]), epoll);

    double interval = 1e9 / rate;
    int64_t start = now(), sent = 0, deadline = start + (int64_t)((double)total * interval) + GRACE;
    while (answered < total && now() < deadline) {
        int64_t at = now();
        while (sent < total && idle_count && start + (int64_t)((double)sent * interval) <= at) {
            ask(sent, start + (int64_t)((double)sent * interval));
            sent++;
        }
        /* Nothing can be sent before an answer comes when all are busy; then only the deadline wakes us. */
        set_alarm(timer, sent < total && idle_count ? start + (int64_t)((double)sent * interval) : deadline);
        int ready = epoll_wait(epoll, events, 256, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int index = 0; index < ready; index++) {
            uint64_t expired;
            if (events[index].data.u32 != (uint32_t)connection_count) take((int)events[index].data.u32);
            else if (read(timer, &expired, sizeof expired) < 0 && errno != EAGAIN) fail("timer");
        }
    }
    qsort(latencies, (size_t)latency_count, sizeof *latencies, ascending);
    printf("{\"due\": %lld, \"answered\": %lld, \"errors\": %lld, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f, \"max_us\": %.1f}\n",
           (long long)total, (long long)answered, (long long)errors, percentile(0.5), percentile(0.9), percentile(0.99),
           percentile(0.999), percentile(1));
    return 0;
}
