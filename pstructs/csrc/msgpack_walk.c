/* msgpack_walk.c -- stepping over MessagePack bytes without making objects.
 *
 * The problem: a lookup has to find the value behind a key, and a copy the references
 * inside of a value, in bytes that may be anything. Nothing here allocates, recurses
 * for arrays and maps, or reads behind the end:
 *
 *     left = 1; while left: read one header; left += messages inside - 1
 *
 * A header that promises more messages than there are bytes left is refused at once,
 * so `left` can't overflow and time is O(bytes). Only extension types that hold whole
 * messages recurse, to a bounded depth.
 */
#include "msgpack.h"

/* ---- walking */

/* One message header at p: its own length with all bytes that belong to it but
 * not the messages inside (*inside of them). 0 when it is cut or not valid.
 * ext: set to the code and payload of an extension. */
typedef struct {
    bool is_ext;
    uint8_t code;
    const uint8_t *payload;
    size_t len;
} ext_info;

PS_INLINE size_t
one_message(const uint8_t *p, const uint8_t *end, uint64_t *inside, ext_info *ext)
{
    size_t room = (size_t)(end - p), n;
    *inside = 0;
    ext->is_ext = false;
    if (room == 0) {
        return 0;
    }
    uint8_t c = p[0];
    if (c <= 0x7F || c >= 0xE0) {
        return 1;
    }
    if (c >= 0xA0 && c <= 0xBF) {
        n = 1u + (c & 31);
        return n <= room ? n : 0;
    }
    if (c >= 0x90 && c <= 0x9F) {
        *inside = c & 15;
        return 1;
    }
    if (c <= 0x8F) {
        *inside = 2u * (c & 15);
        return 1;
    }
    static const uint8_t header[32] = {
        /* C0 */ 1, 0, 1, 1, 2, 3, 5, 3, 4, 6, 5, 9, 2, 3, 5, 9,
        /* D0 */ 2, 3, 5, 9, 2, 2, 2, 2, 2, 2, 3, 5, 3, 5, 3, 5,
    };
    size_t h = header[c - 0xC0];
    if (h == 0 || h > room) {
        return 0;
    }
    switch (c) {
    case 0xC4:
    case 0xD9:
        n = p[1];
        break;
    case 0xC5:
    case 0xDA:
        n = __builtin_bswap16(ps_load16(p + 1));
        break;
    case 0xC6:
    case 0xDB:
        n = __builtin_bswap32(ps_load32(p + 1));
        break;
    case 0xDC:
        *inside = __builtin_bswap16(ps_load16(p + 1));
        return h;
    case 0xDD:
        *inside = __builtin_bswap32(ps_load32(p + 1));
        return h;
    case 0xDE:
        *inside = 2u * (uint64_t)__builtin_bswap16(ps_load16(p + 1));
        return h;
    case 0xDF:
        *inside = 2u * (uint64_t)__builtin_bswap32(ps_load32(p + 1));
        return h;
    case 0xC7:
        n = p[1];
        ext->is_ext = true;
        break;
    case 0xC8:
        n = __builtin_bswap16(ps_load16(p + 1));
        ext->is_ext = true;
        break;
    case 0xC9:
        n = __builtin_bswap32(ps_load32(p + 1));
        ext->is_ext = true;
        break;
    case 0xD4:
    case 0xD5:
    case 0xD6:
    case 0xD7:
    case 0xD8:
        n = (size_t)1 << (c - 0xD4);
        ext->is_ext = true;
        break;
    default:
        return h; /* nil, bool, int, float: all of it is header */
    }
    if (n > room - h) {
        return 0;
    }
    if (ext->is_ext) {
        ext->code = p[h - 1];
        ext->payload = p + h;
        ext->len = n;
    }
    return h + n;
}

const uint8_t *
ps_msg_skip(const uint8_t *p, const uint8_t *end)
{
    uint64_t left = 1, inside;
    ext_info ext;
    while (left) {
        size_t n = one_message(p, end, &inside, &ext);
        /* Each message has at least one byte, so more than the bytes left is a lie. */
        if (n == 0 || inside > (uint64_t)(end - p)) {
            return NULL;
        }
        p += n;
        left += inside - 1;
    }
    return p;
}

static int
find_refs(const uint8_t *p, const uint8_t *end, int depth, ps_msg_visit visit, void *arg)
{
    uint64_t left = 1, inside;
    ext_info ext;
    if (depth > PS_MSG_MAX_DEPTH) {
        return -2;
    }
    while (left) {
        size_t n = one_message(p, end, &inside, &ext);
        if (n == 0 || inside > (uint64_t)(end - p)) {
            return -2;
        }
        if (ext.is_ext) {
            int r = 0;
            if (ext.code == PS_EXT_REF || ext.code == PS_EXT_ARRAY || ext.code == PS_EXT_ORDERED) {
                if (ext.code == PS_EXT_REF ? ext.len != PS_REF_SIZE : ext.len <= PS_REF_SIZE) {
                    return -2;
                }
                r = visit(arg, ext.payload);
            }
            else if (ext.code >= PS_EXT_MESSAGE && ext.code <= PS_EXT_LAST_MESSAGE &&
                     (ext.code <= PS_EXT_LAST_CONTAINER || ext.code >= PS_EXT_LATE_CONTAINER)) {
                r = find_refs(ext.payload, ext.payload + ext.len, depth + 1, visit, arg);
            }
            if (r) {
                return r;
            }
        }
        p += n;
        left += inside - 1;
    }
    return 0;
}

int
ps_msg_refs(const uint8_t *p, const uint8_t *end, ps_msg_visit visit, void *arg)
{
    return find_refs(p, end, 0, visit, arg);
}
