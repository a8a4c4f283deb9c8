/* See base64url.h. */
#include "base64url.h"

enum { NONE = 64 };

static uint32_t value_of(uint8_t letter) {
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26u;
    if (letter >= 'A' && letter <= 'Z') return letter - 'A' + 0u;
    if (letter >= '0' && letter <= '9') return letter - '0' + 52u;
    return letter == '-' ? 62 : letter == '_' ? 63 : NONE;
}

ptrdiff_t base64url_read(const uint8_t *text, size_t length, uint8_t *out, size_t room) {
    uint32_t held = 0;
    unsigned bits = 0;
    size_t written = 0;
    if (length % 4 == 1 || length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0) > room) return -1;
    for (size_t i = 0; i < length; i++) {
        uint32_t value = value_of(text[i]);
        if (value == NONE) return -1;
        held = held << 6 | value;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out[written++] = (uint8_t)(held >> bits);
    }
    return held & ((1u << bits) - 1) ? -1 : (ptrdiff_t)written; /* what is left is no more than zeros */
}
