/* JSON text for bytes of any kind: one code point a byte, all but printable ASCII escaped. */

#ifndef EXAMPLES_JSON_H
#define EXAMPLES_JSON_H

#include <stddef.h>
#include <stdio.h>

static void json_string(FILE *out, const void *data, size_t len) {
    const unsigned char *bytes = data;
    size_t i;
    putc('"', out);
    for (i = 0; i < len; i++) {
        unsigned char c = bytes[i];
        switch (c) {
        case '"':  fputs("\\\"", out); break;
        case '\\': fputs("\\\\", out); break;
        case '\b': fputs("\\b", out);  break;
        case '\f': fputs("\\f", out);  break;
        case '\n': fputs("\\n", out);  break;
        case '\r': fputs("\\r", out);  break;
        case '\t': fputs("\\t", out);  break;
        default:
            if (c >= ' ' && c <= '~')
                putc(c, out);
            else
                fprintf(out, "\\u%04x", c);
        }
    }
    putc('"', out);
}

/* A deadline in Unix milliseconds; null for none. */
static void json_deadline(FILE *out, int64_t at_ms) {
    if (at_ms < 0)
        fputs("null", out);
    else
        fprintf(out, "%lld", (long long)at_ms);
}

/* The id of a stream's entry. */
static void json_id(FILE *out, uint64_t ms, uint64_t seq) {
    fprintf(out, "\"%llu-%llu\"", (unsigned long long)ms, (unsigned long long)seq);
}

/* A group of a stream: its name, how far it has read, its consumers, and what they have not
   acknowledged, each with how often it was delivered. */
static void json_group(FILE *out, const rets_value *value, size_t at) {
    rets_group group;
    rets_consumer consumer;
    rets_pending pending;
    size_t i;
    group.struct_size = sizeof group;
    consumer.struct_size = sizeof consumer;
    pending.struct_size = sizeof pending;
    if (rets_value_group_at(value, at, &group) != RETS_OK)
        return;
    fputs("{\"consumers\": [", out);
    for (i = 0; rets_value_consumer_at(value, at, i, &consumer) == RETS_OK; i++) {
        if (i > 0)
            fputs(", ", out);
        json_string(out, consumer.name, consumer.name_len);
    }
    fputs("], \"last\": ", out);
    json_id(out, group.last_id_ms, group.last_id_seq);
    fputs(", \"name\": ", out);
    json_string(out, group.name, group.name_len);
    fputs(", \"pending\": [", out);
    for (i = 0; rets_value_pending_at(value, at, i, &pending) == RETS_OK; i++) {
        fputs(i > 0 ? ", [" : "[", out);
        json_id(out, pending.id_ms, pending.id_seq);
        fputs(", ", out);
        json_string(out, pending.consumer, pending.consumer_len);
        fprintf(out, ", %llu]", (unsigned long long)pending.deliveries);
    }
    fputs("]}", out);
}

/* A stream: its entries, its groups, and the last id that it gave out. */
static void json_stream(FILE *out, const rets_value *value) {
    rets_stream stream;
    rets_element e, before;
    size_t i;
    stream.struct_size = sizeof stream;
    if (rets_value_stream(value, &stream) != RETS_OK)
        return;
    fputs("{\"entries\": [", out);
    for (i = 0; rets_value_at(value, i, &e) == RETS_OK; i++) {
        /* The fields of an entry stand one behind the other, each with its id. */
        int same = i > 0 && e.id_ms == before.id_ms && e.id_seq == before.id_seq;
        if (!same) {
            fputs(i > 0 ? "]], [" : "[", out);
            json_id(out, e.id_ms, e.id_seq);
        }
        fputs(same ? ", " : ", [", out);
        json_string(out, e.field, e.field_len);
        fputs(", ", out);
        json_string(out, e.value, e.value_len);
        before = e;
    }
    fputs(i > 0 ? "]]], \"groups\": [" : "], \"groups\": [", out);
    for (i = 0; i < stream.groups; i++) {
        if (i > 0)
            fputs(", ", out);
        json_group(out, value, i);
    }
    fputs("], \"last_id\": ", out);
    json_id(out, stream.last_id_ms, stream.last_id_seq);
    putc('}', out);
}

/* Whatever a value holds: a string as text, a stream as an object, the others as arrays of their
   elements. */
static void json_value(FILE *out, const rets_value *value) {
    rets_type_id type = rets_value_type(value);
    rets_element e;
    size_t i;
    if (type == RETS_TYPE_STREAM) {
        json_stream(out, value);
        return;
    }
    if (type == RETS_TYPE_STRING) {
        if (rets_value_at(value, 0, &e) == RETS_OK)
            json_string(out, e.value, e.value_len);
        return;
    }
    if (type == RETS_TYPE_MODULE) {
        fputs("null", out);
        return;
    }
    putc('[', out);
    for (i = 0; rets_value_at(value, i, &e) == RETS_OK; i++) {
        if (i > 0)
            fputs(", ", out);
        switch (type) {
        case RETS_TYPE_LIST:
            json_string(out, e.value, e.value_len);
            break;
        case RETS_TYPE_SET:
            json_string(out, e.field, e.field_len);
            break;
        case RETS_TYPE_ZSET:
            putc('[', out);
            json_string(out, e.field, e.field_len);
            fprintf(out, ", \"%.17g\"]", e.score);
            break;
        case RETS_TYPE_ARRAY:
            fprintf(out, "[%llu, ", (unsigned long long)e.index);
            json_string(out, e.value, e.value_len);
            putc(']', out);
            break;
        default:
            putc('[', out);
            json_string(out, e.field, e.field_len);
            fputs(", ", out);
            json_string(out, e.value, e.value_len);
            fputs(", ", out);
            json_deadline(out, e.expires_at_ms);
            putc(']', out);
        }
    }
    putc(']', out);
}

/* The name of a type, as the servers' TYPE answers it. */
static const char *json_type(rets_type_id type) {
    switch (type) {
    case RETS_TYPE_STRING: return "string";
    case RETS_TYPE_LIST:   return "list";
    case RETS_TYPE_SET:    return "set";
    case RETS_TYPE_ZSET:   return "zset";
    case RETS_TYPE_HASH:   return "hash";
    case RETS_TYPE_ARRAY:  return "array";
    case RETS_TYPE_MODULE: return "module";
    case RETS_TYPE_STREAM: return "stream";
    default:               return "none";
    }
}

#endif
