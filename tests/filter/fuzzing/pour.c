/* Many queries over UDP, at a given rate or as fast as answers come, and what became of each.

   pour PORT SECONDS RATE WINDOW SOCKETS SEED: RATE in queries a second, 0 for as fast as answers come; at most WINDOW
   unanswered at once. A third of the names are blocked and never asked before, one in 40 is allowed and never asked
   before, the rest are 2,000 allowed names again and again. Each is asked once: what is not answered in 6 s is lost. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, MOST_SOCKETS = 16, IDS = 65536, LONGEST = 1500, HEADER = 12, KNOWN = 2000, PATIENCE = 6000 };
enum { NOTHING, BLOCKED, ALLOWED };

static const uint8_t ADDRESS[4] = {93, 184, 216, 34};

typedef struct {
    int fd;
    uint16_t next;
    uint8_t asked[IDS];
    uint32_t at[IDS];
} client_t;

static client_t clients[MOST_SOCKETS];
static unsigned long sent, right, unfiltered, wrong, failed, lost, late, unsent;
static unsigned long outstanding, number;
static uint32_t slowest, seed;

static uint64_t micros(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t put_name(uint8_t *out, const char *text) {
    size_t at = 0;
    for (const char *label = text; *label;) {
        size_t length = strcspn(label, ".");
        out[at++] = (uint8_t)length;
        memcpy(out + at, label, length);
        at += length;
        label += length + (label[length] == '.');
    }
    out[at++] = 0;
    return at;
}

static size_t make(uint8_t *out, uint16_t id, uint8_t *kind) {
    char name[64];
    unsigned long n = number++;
    *kind = n % 3 == 0 ? BLOCKED : ALLOWED;
    if (n % 3 == 0) snprintf(name, sizeof name, "n%x-%lx.jeu.example", seed, n);
    else if (n % 40 == 1) snprintf(name, sizeof name, "n%x-%lx.libre.example", seed, n);
    else snprintf(name, sizeof name, "c%lu.connu.example", n % KNOWN);
    const uint8_t header[HEADER] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    static const uint8_t rest[15] = {0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    memcpy(out, header, HEADER);
    size_t at = HEADER + put_name(out + HEADER, name);
    memcpy(out + at, rest, sizeof rest);
    return at + sizeof rest;
}

static void judge(client_t *client, const uint8_t *reply, size_t length, uint32_t now) {
    if (length < HEADER) {
        wrong++;
        return;
    }
    uint16_t id = (uint16_t)(reply[0] << 8 | reply[1]);
    uint8_t kind = client->asked[id];
    if (kind == NOTHING) {
        late++;
        return;
    }
    client->asked[id] = NOTHING;
    outstanding--;
    if (now - client->at[id] > slowest) slowest = now - client->at[id];
    int rcode = reply[3] & 15, answers = reply[6] << 8 | reply[7];
    int found = memmem(reply + HEADER, length - HEADER, ADDRESS, sizeof ADDRESS) != NULL;
    if (kind == BLOCKED) {
        if (rcode == 3 && answers == 0) right++;
        else if (answers > 0 || found) unfiltered++;
        else failed++;
    } else if (rcode == 0 && answers == 1 && found) right++;
    else if (rcode == 2) failed++;
    else wrong++;
}

static void hear(client_t *client) {
    static uint8_t data[BATCH][LONGEST];
    static struct mmsghdr in[BATCH];
    static struct iovec parts[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){data[i], LONGEST};
            in[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(client->fd, in, BATCH, MSG_DONTWAIT, NULL);
        uint32_t now = (uint32_t)(micros() / 1000);
        for (int i = 0; i < count; i++) judge(client, data[i], in[i].msg_len, now);
        if (count < BATCH) return;
    }
}

static void ask(client_t *client, unsigned long most) {
    static uint8_t data[BATCH][128];
    static struct mmsghdr out[BATCH];
    static struct iovec parts[BATCH];
    uint16_t ids[BATCH];
    uint8_t kinds[BATCH];
    unsigned count = 0;
    uint32_t now = (uint32_t)(micros() / 1000);
    for (; count < BATCH && count < most && client->asked[client->next] == NOTHING; count++) {
        ids[count] = client->next++;
        parts[count] = (struct iovec){data[count], make(data[count], ids[count], &kinds[count])};
        out[count].msg_hdr = (struct msghdr){.msg_iov = &parts[count], .msg_iovlen = 1};
        client->asked[ids[count]] = kinds[count];
        client->at[ids[count]] = now;
    }
    int done = count ? sendmmsg(client->fd, out, count, 0) : 0;
    if (done < 0) done = 0;
    sent += (unsigned long)done;
    outstanding += (unsigned long)done;
    for (unsigned i = (unsigned)done; i < count; i++) {
        client->asked[ids[i]] = NOTHING;
        unsent++;
    }
}

static void forget(unsigned sockets) {
    uint32_t now = (uint32_t)(micros() / 1000);
    for (unsigned s = 0; s < sockets; s++)
        for (unsigned id = 0; id < IDS; id++)
            if (clients[s].asked[id] != NOTHING && now - clients[s].at[id] > PATIENCE) {
                clients[s].asked[id] = NOTHING;
                outstanding--;
                lost++;
            }
}

int main(int count, char **words) {
    if (count != 7) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    double seconds = atof(words[2]), rate = atof(words[3]);
    unsigned long window = strtoul(words[4], NULL, 10);
    unsigned sockets = (unsigned)atoi(words[5]), turn = 0;
    struct pollfd watched[MOST_SOCKETS];
    seed = (uint32_t)atoi(words[6]);
    if (sockets == 0 || sockets > MOST_SOCKETS) return 2;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned s = 0; s < sockets; s++) {
        int buffer = 4 << 20;
        clients[s].fd = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(clients[s].fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        if (connect(clients[s].fd, (struct sockaddr *)&to, sizeof to) != 0) return 1;
        watched[s] = (struct pollfd){.fd = clients[s].fd, .events = POLLIN};
    }
    uint64_t begun = micros(), swept = begun, end = begun + (uint64_t)(seconds * 1e6);
    double due = 0;
    for (uint64_t before = begun, now = begun; now < end || outstanding; now = micros()) {
        due = rate > 0 ? due + (double)(now - before) * rate / 1e6 : (double)window;
        if (due > (double)window) due = (double)window; /* who was kept from sending does not make up for it */
        before = now;
        if (now < end)
            for (unsigned tries = 0; tries < sockets && due >= 1 && outstanding < window; tries++) {
                unsigned long room = window - outstanding, had = sent;
                ask(&clients[turn++ % sockets], room < (unsigned long)due ? room : (unsigned long)due);
                due -= (double)(sent - had);
            }
        poll(watched, sockets, rate > 0 ? 1 : outstanding >= window ? 10 : 0);
        for (unsigned s = 0; s < sockets; s++) if (watched[s].revents) hear(&clients[s]);
        if (now - swept > 100000) {
            forget(sockets);
            swept = now;
        }
    }
    printf("sent=%lu right=%lu unfiltered=%lu wrong=%lu failed=%lu lost=%lu late=%lu unsent=%lu slowest_ms=%u\n", sent,
           right, unfiltered, wrong, failed, lost, late, unsent, slowest);
    return 0;
}
