/* Binary data in the text of an address (RFC 4648, 5): base64 with "-" and "_", without padding. */
#ifndef PREAU_BASE64URL_H
#define PREAU_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

/* Bytes written, at most `room`; -1 for what is no such text, as one with padding, or makes more. */
ptrdiff_t base64url_read(const uint8_t *text, size_t length, uint8_t *out, size_t room);

#endif
