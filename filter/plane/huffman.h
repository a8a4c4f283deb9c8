/* Huffman-coded strings of HTTP/2 headers (RFC 7541, 5.2). */
#ifndef PREAU_HUFFMAN_H
#define PREAU_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of text written, at most `room`; -1 for what is no such string, or makes more. */
ptrdiff_t huffman_read(const uint8_t *data, size_t length, uint8_t *out, size_t room);

#endif
