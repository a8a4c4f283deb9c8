/* See loop.h. */
#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* A packet that was looked at and is not answered yet. */
typedef struct {
    asked_t asked;
    outlook_t outlook;
    int admitted; /* as limits.h says; REFUSED for what is no packet */
    char text[ADDRESS_TEXT];
} slot_t;

/* Packets looked at before the first of them is answered; and bytes that keep buffers off each other's cache lines. */
enum { AHEAD = 16, APART = 192 };

typedef struct {
    origin_t origins[BATCH];
    slot_t slots[AHEAD];
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_parts[BATCH], out_parts[BATCH];
    uint8_t packets[BATCH][LARGEST_PACKET + APART];
    uint8_t replies[BATCH][LARGEST_REPLY];
    unsigned answered; /* of the replies: those that are no word of the limits */
} batch_t;

static int64_t read_clock(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static char *write_byte(char *at, unsigned byte) {
    if (byte >= 100) *at++ = (char)('0' + byte / 100);
    if (byte >= 10) *at++ = (char)('0' + byte / 10 % 10);
    *at++ = (char)('0' + byte % 10);
    return at;
}

/* IPv4 by hand: this is done for every packet whose name is counted, and inet_ntop takes as long as all the rest. */
void origin_text(const origin_t *origin, char text[ADDRESS_TEXT]) {
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&origin->peer;
    text[0] = 0;
    if (ipv4->sin_family == AF_INET) {
        const uint8_t *bytes = (const uint8_t *)&ipv4->sin_addr;
        char *at = text;
        for (int i = 0; i < 4; i++) {
            at = write_byte(at, bytes[i]);
            *at++ = i < 3 ? '.' : 0;
        }
        return;
    }
    getnameinfo((const struct sockaddr *)&origin->peer, origin->peer_length, text, ADDRESS_TEXT, NULL, 0, NI_NUMERICHOST);
}

static address_t origin_address(const origin_t *origin) {
    address_t address;
    if (origin->peer.ss_family == AF_INET)
        return address_of_ipv4((const uint8_t *)&((const struct sockaddr_in *)&origin->peer)->sin_addr);
    memcpy(address.bytes, &((const struct sockaddr_in6 *)&origin->peer)->sin6_addr, 16);
    return address;
}

/* Python answers it, or nobody when too many wait: clients ask again. */
static void hand_over(loop_t *loop, const origin_t *origin, const uint8_t *packet, size_t length, int reason,
                      const uint8_t *message, size_t more, int64_t stored) {
    handed_t *handed = NULL;
    pthread_mutex_lock(&loop->queue_lock);
    if (loop->handed_count < MOST_HANDED) handed = malloc(sizeof *handed + length + more);
    if (handed == NULL) {
        pthread_mutex_unlock(&loop->queue_lock);
        loop->plane->counting.overload++;
        return;
    }
    *handed = (handed_t){.origin = *origin, .reason = reason, .length = (uint16_t)length,
                         .message_length = (uint16_t)more, .stored = stored};
    memcpy(handed->data, packet, length);
    if (more) memcpy(handed->data + length, message, more);
    *loop->last = handed;
    loop->last = &handed->next;
    if (loop->handed_count++ == 0) eventfd_write(loop->news, 1);
    pthread_mutex_unlock(&loop->queue_lock);
}

handed_t *loop_take(loop_t *loop, unsigned most) {
    pthread_mutex_lock(&loop->queue_lock);
    handed_t *first = loop->first, **end = &loop->first;
    for (unsigned i = 0; i < most && *end != NULL; i++, loop->handed_count--) end = &(*end)->next;
    handed_t *rest = *end;
    *end = NULL;
    loop->first = rest;
    if (rest == NULL) loop->last = &loop->first;
    if (rest != NULL) eventfd_write(loop->news, 1);
    pthread_mutex_unlock(&loop->queue_lock);
    return end == &loop->first ? NULL : first;
}

bool loop_send(const loop_t *loop, const origin_t *origin, const uint8_t *data, size_t length) {
    struct iovec part = {(void *)(uintptr_t)data, length};
    origin_t to = *origin;
    struct msghdr message = {.msg_name = &to.peer, .msg_namelen = to.peer_length, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = to.control_length ? to.control : NULL,
                             .msg_controllen = to.control_length};
    if (to.listener >= loop->listener_count || to.control_length > CONTROL_SIZE) return false;
    return sendmsg(loop->listeners[to.listener], &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

/* The answer that bridges an outage (RFC 8767): Python's to give. */
static const answer_t *find_stale(const loop_t *loop, const waiter_t *waiter) {
    query_t query;
    answers_t *answers = &loop->plane->answers;
    if (!read_query(waiter->packet, waiter->length, &query)) return NULL;
    uint8_t flags = key_flags(&query);
    uint64_t hash = answers_hash(answers, &query.name, query.qtype, flags);
    return answers_find(answers, hash, &query.name, query.qtype, flags);
}

/* An upstream's failure, told in words, is no answer to keep in place of an older one. */
static bool says_nothing(const landing_t *landing) {
    uint8_t rcode = landing->message == NULL ? 0 : landing->message[3] & 15;
    return landing->message == NULL || (rcode != 0 && rcode != 3);
}

static void hand_back(loop_t *loop, const waiter_t *waiter, const landing_t *landing, int reason) {
    const answer_t *stale = says_nothing(landing) ? find_stale(loop, waiter) : NULL;
    const uint8_t *message = stale ? answer_message(stale) : landing->message;
    hand_over(loop, &waiter->origin, waiter->packet, waiter->length, reason, message,
              stale ? stale->length : landing->length, stale ? stale->stored : landing->now);
}

/* What an upstream said, or that it said nothing, to one who waited: decided anew, by what holds now. */
static void tell(void *context, const waiter_t *waiter, const landing_t *landing) {
    loop_t *loop = context;
    uint8_t out[LARGEST_REPLY];
    char text[ADDRESS_TEXT];
    size_t length;
    outlook_t outlook;
    int64_t now = read_clock(CLOCK_MONOTONIC);
    int become = HANDED_UPSTREAM;
    if (landing->answer != NULL) {
        origin_text(&waiter->origin, text);
        asked_t asked = {waiter->packet, waiter->length, origin_address(&waiter->origin), text,
                         read_clock(CLOCK_REALTIME), now};
        plane_look(loop->plane, &asked, &outlook);
        become = plane_answer(loop->plane, &asked, landing->answer, out, &length, &outlook);
    }
    if (become == ANSWERED) {
        loop_send(loop, &waiter->origin, out, length);
        count_duration(&loop->plane->counting.answers, now - waiter->arrived, 1);
    } else if (become != DROPPED) {
        hand_back(loop, waiter, landing, become);
    }
}

/* Reads a packet, and lets the memory that answering it needs come in. */
static void look(loop_t *loop, batch_t *batch, int number, int64_t wall, int64_t clock) {
    slot_t *slot = &batch->slots[number % AHEAD];
    const origin_t *origin = &batch->origins[number];
    slot->admitted = REFUSED;
    if (batch->in[number].msg_hdr.msg_flags & MSG_TRUNC) {
        loop->plane->counting.no_query++;
        return;
    }
    slot->asked = (asked_t){batch->packets[number], batch->in[number].msg_len, origin_address(origin), slot->text, wall, clock};
    slot->admitted = plane_admit(loop->plane, &slot->asked.client, clock);
    slot->text[0] = 0;
    if (slot->admitted != ADMITTED) return;
    if (loop->plane->counting.counts_names) origin_text(origin, slot->text);
    plane_look(loop->plane, &slot->asked, &slot->outlook);
}

/* Whether there is a reply to send. */
static bool answer_one(loop_t *loop, slot_t *slot, const origin_t *origin, uint8_t *reply, size_t *length) {
    const asked_t *asked = &slot->asked;
    outlook_t *outlook = &slot->outlook;
    if (slot->admitted != ADMITTED) {
        *length = slot->admitted == SLIPPED ? write_cut(asked->data, asked->length, reply) : 0;
        return *length > 0;
    }
    int become = plane_answer(loop->plane, asked, NULL, reply, length, outlook);
    if (become == ANSWERED && outlook->is_due) upstream_prefetch(&loop->upstream, outlook, asked->clock);
    if (become == ANSWERED) return true;
    if (become == DROPPED || (become == MISSED && upstream_ask(&loop->upstream, outlook, asked, origin))) return false;
    const answer_t *known = outlook->answer;
    hand_over(loop, origin, asked->data, asked->length, become == MISSED ? HANDED_UPSTREAM : become,
              known ? answer_message(known) : NULL, known ? known->length : 0, known ? known->stored : 0);
    return false;
}

/* The address that was asked is the reply's; the way back is for routing to say, not the interface it came by. */
static void forget_interface(origin_t *origin) {
    struct msghdr message = {.msg_control = origin->control, .msg_controllen = origin->control_length};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head == NULL) return;
    if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO)
        ((struct in_pktinfo *)CMSG_DATA(head))->ipi_ifindex = 0;
    if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(head);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) info->ipi6_ifindex = 0;
    }
}

static int receive(const loop_t *loop, unsigned listener, batch_t *batch) {
    for (int i = 0; i < BATCH; i++) {
        origin_t *origin = &batch->origins[i];
        batch->in_parts[i] = (struct iovec){batch->packets[i], LARGEST_PACKET};
        batch->in[i].msg_hdr = (struct msghdr){.msg_name = &origin->peer, .msg_namelen = sizeof origin->peer,
                                               .msg_iov = &batch->in_parts[i], .msg_iovlen = 1,
                                               .msg_control = origin->control, .msg_controllen = CONTROL_SIZE};
    }
    int count = recvmmsg(loop->listeners[listener], batch->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        batch->origins[i].listener = listener;
        batch->origins[i].peer_length = batch->in[i].msg_hdr.msg_namelen;
        batch->origins[i].control_length = (uint32_t)batch->in[i].msg_hdr.msg_controllen;
        if (batch->origins[i].control_length) forget_interface(&batch->origins[i]);
    }
    return count;
}

/* A reply that one client's network refuses must not cost the others theirs. */
static void send_all(const loop_t *loop, unsigned listener, batch_t *batch, int count) {
    for (int sent = 0; sent < count;) {
        int done = sendmmsg(loop->listeners[listener], batch->out + sent, (unsigned)(count - sent),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        sent += done > 0 ? done : 1;
    }
}

static void put_reply(batch_t *batch, int reply, origin_t *origin, size_t length) {
    batch->out_parts[reply] = (struct iovec){batch->replies[reply], length};
    batch->out[reply].msg_hdr = (struct msghdr){.msg_name = &origin->peer, .msg_namelen = origin->peer_length,
                                                .msg_iov = &batch->out_parts[reply], .msg_iovlen = 1,
                                                .msg_control = origin->control_length ? origin->control : NULL,
                                                .msg_controllen = origin->control_length};
}

/* From `first` up to `end`, AHEAD at most. Returns how many replies there are then. */
static int serve_some(loop_t *loop, batch_t *batch, int first, int end, int replies, int64_t wall, int64_t clock) {
    for (int i = first; i < end; i++) look(loop, batch, i, wall, clock);
    for (int i = first; i < end; i++) {
        const slot_t *slot = &batch->slots[i % AHEAD];
        if (slot->admitted == ADMITTED) plane_look_closer(loop->plane, &slot->outlook);
    }
    for (int i = first; i < end; i++) {
        size_t length;
        slot_t *slot = &batch->slots[i % AHEAD];
        if (!answer_one(loop, slot, &batch->origins[i], batch->replies[replies], &length)) continue;
        put_reply(batch, replies++, &batch->origins[i], length);
        batch->answered += slot->admitted == ADMITTED;
    }
    return replies;
}

static void serve_batch(loop_t *loop, unsigned listener, batch_t *batch, int count) {
    int64_t wall = read_clock(CLOCK_REALTIME), clock = read_clock(CLOCK_MONOTONIC);
    int replies = 0;
    batch->answered = 0;
    pthread_mutex_lock(&loop->plane->lock);
    for (int first = 0; first < count; first += AHEAD)
        replies = serve_some(loop, batch, first, count < first + AHEAD ? count : first + AHEAD, replies, wall, clock);
    int64_t took = read_clock(CLOCK_MONOTONIC) - clock;
    count_duration(&loop->plane->counting.answers, took, batch->answered);
    pthread_mutex_unlock(&loop->plane->lock);
    send_all(loop, listener, batch, replies);
}

static void serve_listener(loop_t *loop, unsigned listener, batch_t *batch) {
    for (int round = 0; round < ROUNDS; round++) { /* then the others' turn */
        int count = receive(loop, listener, batch);
        if (count > 0) serve_batch(loop, listener, batch, count);
        if (count < BATCH) return;
    }
}

static int expire(loop_t *loop) {
    pthread_mutex_lock(&loop->plane->lock);
    int64_t left = upstream_expire(&loop->upstream, read_clock(CLOCK_MONOTONIC));
    pthread_mutex_unlock(&loop->plane->lock);
    return left < 0 ? -1 : (int)(left / 1000) + 1;
}

static void *run(void *context) {
    loop_t *loop = context;
    struct epoll_event events[BATCH];
    batch_t *batch = calloc(1, sizeof *batch);
    for (int patience = -1; batch != NULL;) {
        int count = epoll_wait(loop->epoll, events, BATCH, patience);
        for (int i = 0; i < count; i++) {
            uint32_t what = events[i].data.u32;
            if (what == STOP) {
                free(batch);
                return NULL;
            }
            if (what < FIRST_PORT) {
                serve_listener(loop, what - FIRST_LISTENER, batch);
                continue;
            }
            pthread_mutex_lock(&loop->plane->lock);
            upstream_read(&loop->upstream, what - FIRST_PORT, read_clock(CLOCK_MONOTONIC));
            pthread_mutex_unlock(&loop->plane->lock);
        }
        patience = expire(loop);
    }
    return NULL;
}

static bool watch(const loop_t *loop, int fd, uint32_t number) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

loop_t *loop_make(plane_t *plane, const int *listeners, unsigned count) {
    loop_t *loop = calloc(1, sizeof *loop);
    if (loop == NULL) return NULL;
    loop->plane = plane;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->queue_lock, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    upstream_make(&loop->upstream, plane, loop->epoll, tell, loop);
    bool whole = loop->epoll >= 0 && loop->stop >= 0 && loop->news >= 0 && count <= MOST_LISTENERS &&
                 watch(loop, loop->stop, STOP);
    for (unsigned i = 0; whole && i < count; i++) {
        loop->listeners[loop->listener_count++] = listeners[i];
        whole = watch(loop, listeners[i], FIRST_LISTENER + i);
    }
    if (whole) return loop;
    loop_free(loop);
    return NULL;
}

bool loop_add_server(loop_t *loop, const struct sockaddr *address, socklen_t length) {
    if (loop->upstream.server_count == MOST_SERVERS || length > sizeof(struct sockaddr_storage)) return false;
    server_t *server = &loop->upstream.servers[loop->upstream.server_count++];
    memcpy(&server->address, address, length);
    server->length = length;
    return true;
}

void loop_use(loop_t *loop, unsigned server, bool usable) {
    if (server < loop->upstream.server_count) loop->upstream.servers[server].is_out = !usable;
}

bool loop_start(loop_t *loop) {
    sigset_t all, before; /* signals are for Python's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    loop->runs = pthread_create(&loop->thread, NULL, run, loop) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return loop->runs;
}

void loop_free(loop_t *loop) {
    if (loop->runs) {
        eventfd_write(loop->stop, 1);
        pthread_join(loop->thread, NULL);
    }
    pthread_mutex_lock(&loop->plane->lock);
    upstream_free(&loop->upstream);
    pthread_mutex_unlock(&loop->plane->lock);
    for (handed_t *next, *each = loop->first; each != NULL; each = next) {
        next = each->next;
        free(each);
    }
    if (loop->epoll >= 0) close(loop->epoll);
    if (loop->stop >= 0) close(loop->stop);
    if (loop->news >= 0) close(loop->news);
    pthread_mutex_destroy(&loop->queue_lock);
    free(loop);
}
