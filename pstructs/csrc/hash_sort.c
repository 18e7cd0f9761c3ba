/* hash_sort.c -- radix passes over the top bits, as many as tell the items apart, then insertion
 * sort of the few that agree in them. Cost: 2 passes up to a million items. */
#include "hash_sort.h"

#include <stdlib.h>

static void
insertion_sort(ps_sort_item *a, Py_ssize_t n)
{
    for (Py_ssize_t i = 1; i < n; i++) {
        ps_sort_item x = a[i];
        Py_ssize_t j = i;
        for (; j > 0 && a[j - 1].hash > x.hash; j--) {
            a[j] = a[j - 1];
        }
        a[j] = x;
    }
}

static int
compare_items(const void *pa, const void *pb)
{
    const ps_sort_item *a = pa, *b = pb;
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

/* One stable counting pass by `bits` bits of the hash above `shift`. */
static void
radix_pass(const ps_sort_item *from, ps_sort_item *to, Py_ssize_t n, int shift, int bits,
           uint32_t *count)
{
    uint32_t mask = (1u << bits) - 1, sum = 0;
    memset(count, 0, sizeof *count << bits);
    for (Py_ssize_t i = 0; i < n; i++) {
        count[(from[i].hash >> shift) & mask]++;
    }
    for (uint32_t i = 0; i <= mask; i++) {
        uint32_t c = count[i];
        count[i] = sum;
        sum += c;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        to[count[(from[i].hash >> shift) & mask]++] = from[i];
    }
}

ps_sort_item *
ps_sort_by_hash(ps_sort_item *a, ps_sort_item *spare, Py_ssize_t n)
{
    enum { MAX_BITS = 11 };
    uint32_t count[1 << MAX_BITS];
    if (spare == NULL) {
        insertion_sort(a, n);
        return a;
    }
    int top = 64 - __builtin_clzll((unsigned long long)n); /* about one item a bucket */
    if (top > 40) {
        top = 40;
    }
    int passes = (top + MAX_BITS - 1) / MAX_BITS;
    int bits = (top + passes - 1) / passes;
    ps_sort_item *from = a, *to = spare;
    for (int i = 0; i < passes; i++) {
        radix_pass(from, to, n, 64 - bits * (passes - i), bits, count);
        ps_sort_item *t = from;
        from = to;
        to = t;
    }
    /* What the passes left unsorted agrees in the top bits: short, unless chosen so. */
    int shift = 64 - bits * passes;
    for (Py_ssize_t i = 0; i < n;) {
        Py_ssize_t j = i + 1;
        while (j < n && from[j].hash >> shift == from[i].hash >> shift) {
            j++;
        }
        if (j - i > 24) {
            qsort(from + i, (size_t)(j - i), sizeof *from, compare_items);
        }
        else if (j - i > 1) {
            insertion_sort(from + i, j - i);
        }
        i = j;
    }
    return from;
}
