/* See huffman.h. The code is canonical: of each length the codes are consecutive, in the order of what they stand for,
   so how many there are of each length, and that order, say it all (RFC 7541, appendix B). */
#include "huffman.h"

enum { SHORTEST = 5, LONGEST = 30, END_OF_STRING = 256 };

/* By length. */
static const uint8_t COUNTS[LONGEST + 1] = {
    [5] = 10, [6] = 26, [7] = 32, [8] = 6, [10] = 5, [11] = 3, [12] = 2, [13] = 6, [14] = 2, [15] = 3, [19] = 3,
    [20] = 8, [21] = 13, [22] = 26, [23] = 29, [24] = 12, [25] = 4, [26] = 15, [27] = 19, [28] = 29, [30] = 4};
/* By length, then by value; the end of the string, which must not be in one, would be the last. */
static const uint8_t ORDER[END_OF_STRING] = {
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100,
    102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81,
    82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63,
    39, 43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194,
    224, 226, 153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156,
    160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139,
    140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231,
    239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205,
    210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248,
    250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29,
    30, 31, 127, 220, 249, 10, 13, 22};

/* What the first of these bits stand for, and how many they are: the longest codes are full, so something is found. */
static unsigned find(uint32_t bits, unsigned *size) {
    uint32_t first = 0, before = 0;
    for (*size = SHORTEST; *size < LONGEST; ++*size) {
        uint32_t place = (bits >> (32 - *size)) - first;
        if (place < COUNTS[*size]) return ORDER[before + place];
        before += COUNTS[*size];
        first = (first + COUNTS[*size]) << 1;
    }
    uint32_t place = before + (bits >> (32 - LONGEST)) - first;
    return place < END_OF_STRING ? ORDER[place] : END_OF_STRING;
}

ptrdiff_t huffman_read(const uint8_t *data, size_t length, uint8_t *out, size_t room) {
    uint64_t held = 0;
    unsigned bits = 0, size;
    size_t at = 0, written = 0;
    for (;;) {
        for (; bits < 32 && at < length; bits += 8) held = held << 8 | data[at++];
        uint32_t next = bits >= 32 ? (uint32_t)(held >> (bits - 32))
                                   : (uint32_t)(held << (32 - bits)) | UINT32_MAX >> bits; /* ones, as in padding */
        if (bits < 8 && next == UINT32_MAX) return (ptrdiff_t)written;
        unsigned found = find(next, &size);
        if (size > bits || found == END_OF_STRING || written == room) return -1;
        out[written++] = (uint8_t)found;
        bits -= size;
    }
}
