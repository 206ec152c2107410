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

/* Whatever a value holds: a string as text, the others as arrays of their elements. */
static void json_value(FILE *out, const rets_value *value) {
    rets_type_id type = rets_value_type(value);
    rets_element e;
    size_t i;
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
    default:               return "none";
    }
}

#endif
