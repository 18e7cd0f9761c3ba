/* hash_time.c -- dates and times.
 *
 *     date        year : 2 | month : 1 | day : 1
 *     datetime    microseconds since 0001-01-01T00:00 : 8, local without a UTC offset, else UTC
 *     time        microseconds since midnight : 8, the same way (may leave 0..24 h)
 *     timedelta   days : 4 | seconds : 4 | microseconds : 4
 *
 * An aware value counts with fold = 0, as in datetime.__hash__: equal ones hash equal, though one
 * of them may stand for the second pass through a repeated hour. Naive and aware values are never
 * equal, so their kinds differ.
 */
#include "hash_internal.h"

#include <datetime.h>

#define MICROS INT64_C(1000000)
#define DAY_MICROS (86400 * MICROS)

static int64_t
days_before(int year, int month, int day)
{
    static const int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = year - 1;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 + before_month[month - 1] + day - 1;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days + (leap && month > 2);
}

uint64_t
ps_hash_date(int which, PyObject *key)
{
    unsigned char bytes[4];
    ps_store16(bytes, (uint16_t)PyDateTime_GET_YEAR(key));
    bytes[2] = PyDateTime_GET_MONTH(key);
    bytes[3] = PyDateTime_GET_DAY(key);
    return ps_hash_leaf(which, PS_KIND_DATE, bytes, sizeof bytes);
}

uint64_t
ps_hash_timedelta(int which, PyObject *key)
{
    int32_t fields[3] = {PyDateTime_DELTA_GET_DAYS(key), PyDateTime_DELTA_GET_SECONDS(key),
                         PyDateTime_DELTA_GET_MICROSECONDS(key)};
    return ps_hash_leaf(which, PS_KIND_TIMEDELTA, fields, sizeof fields);
}

/* The UTC offset of a time or datetime, as if fold were 0: 1 and *micros, 0 for none, -1. */
static int
utc_offset(ps_state *st, PyObject *key, bool fold, int64_t *micros)
{
    PyObject *unfolded = NULL, *offset = NULL;
    int result = -1;
    (void)PyDateTimeAPI; /* from datetime.h, which is used for its struct fields only */
    if (fold) {
        PyObject *args = PyTuple_New(0);
        PyObject *zero = Py_BuildValue("{Oi}", st->hash.names[PS_NAME_FOLD], 0);
        PyObject *replace = PyObject_GetAttr(key, st->hash.names[PS_NAME_REPLACE]);
        if (args != NULL && zero != NULL && replace != NULL) {
            unfolded = PyObject_Call(replace, args, zero);
        }
        Py_XDECREF(args);
        Py_XDECREF(zero);
        Py_XDECREF(replace);
        if (unfolded == NULL) {
            goto done;
        }
    }
    offset = PyObject_CallMethodNoArgs(fold ? unfolded : key, st->hash.names[PS_NAME_UTCOFFSET]);
    if (offset == NULL) {
        goto done;
    }
    if (offset == Py_None) {
        result = 0;
        goto done;
    }
    PyTypeObject *timedelta = ps_hash_class(st, PS_AS_TIMEDELTA);
    if (timedelta == NULL && PyErr_Occurred()) {
        goto done;
    }
    if (timedelta == NULL || !PyObject_TypeCheck(offset, timedelta)) {
        PyErr_Format(PyExc_TypeError, "utcoffset() must return None or a timedelta, not '%.200s'",
                     Py_TYPE(offset)->tp_name);
        goto done;
    }
    *micros = PyDateTime_DELTA_GET_DAYS(offset) * DAY_MICROS +
              PyDateTime_DELTA_GET_SECONDS(offset) * MICROS +
              PyDateTime_DELTA_GET_MICROSECONDS(offset);
    result = 1;
done:
    Py_XDECREF(unfolded);
    Py_XDECREF(offset);
    return result;
}

static int
hash_clock(ps_state *st, PyObject *key, bool aware, bool fold, int64_t micros, int kind,
           int utc_kind, int which, uint64_t *h)
{
    int64_t offset = 0;
    int has_offset = aware ? utc_offset(st, key, fold, &offset) : 0;
    if (has_offset < 0) {
        return -1;
    }
    micros -= offset;
    *h = ps_hash_leaf(which, has_offset ? utc_kind : kind, &micros, sizeof micros);
    return 0;
}

int
ps_hash_datetime(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    int64_t days =
        days_before(PyDateTime_GET_YEAR(key), PyDateTime_GET_MONTH(key), PyDateTime_GET_DAY(key));
    int64_t seconds = PyDateTime_DATE_GET_HOUR(key) * 3600 + PyDateTime_DATE_GET_MINUTE(key) * 60 +
                      PyDateTime_DATE_GET_SECOND(key);
    int64_t micros = days * DAY_MICROS + seconds * MICROS + PyDateTime_DATE_GET_MICROSECOND(key);
    return hash_clock(st, key, PyDateTime_DATE_GET_TZINFO(key) != Py_None,
                      PyDateTime_DATE_GET_FOLD(key), micros, PS_KIND_DATETIME,
                      PS_KIND_DATETIME_UTC, which, h);
}

int
ps_hash_time(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    int64_t seconds = PyDateTime_TIME_GET_HOUR(key) * 3600 + PyDateTime_TIME_GET_MINUTE(key) * 60 +
                      PyDateTime_TIME_GET_SECOND(key);
    int64_t micros = seconds * MICROS + PyDateTime_TIME_GET_MICROSECOND(key);
    return hash_clock(st, key, PyDateTime_TIME_GET_TZINFO(key) != Py_None,
                      PyDateTime_TIME_GET_FOLD(key), micros, PS_KIND_TIME, PS_KIND_TIME_UTC, which,
                      h);
}
