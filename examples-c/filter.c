/* Keeps a small part of a large dataset: what is left out by options is never even decoded, what
 * the callback skips is seen first. Here: keys config:* of database 0, but no values above 1 KiB.
 *
 *     filter [URL]
 */

#include <rets.h>

#include <stdio.h>

enum { VALUE_MAX = 1024 };

static int small_strings_only(void *user, const rets_event *e) {
    (void)user;
    if (e->kind == RETS_EVENT_SET && e->type == RETS_TYPE_STRING && e->value_len > VALUE_MAX)
        return RETS_SKIP; /* seen, not stored: lookups say RETS_WITHHELD */
    return RETS_KEEP;
}

static rets_status print_all(const rets_t *r) {
    const void *key;
    size_t key_len, len;
    char buf[VALUE_MAX];
    rets_cursor *c = NULL;
    rets_status st = rets_cursor_new(r, 0, 0, &c);
    if (st != RETS_OK)
        return st;
    while ((st = rets_cursor_next(c, NULL, &key, &key_len)) == RETS_OK) {
        /* The key may have gone since the cursor saw it: then the lookup says so. */
        rets_status got = rets_get(r, 0, key, key_len, buf, sizeof buf, &len);
        if (got == RETS_OK)
            printf("%.*s = %.*s\n", (int)key_len, (const char *)key, (int)len, buf);
        else
            printf("%.*s: %s\n", (int)key_len, (const char *)key, rets_strerror(got));
    }
    rets_cursor_free(c);
    return st == RETS_NOT_FOUND ? RETS_OK : st; /* not found: the end of the walk */
}

int main(int argc, char **argv) {
    rets_info_t info;
    rets_t *r = NULL;
    rets_status st = rets_new(argc > 1 ? argv[1] : "redis://127.0.0.1:6379", &r);
    if (st == RETS_OK) st = rets_set_option(r, "databases", "0");
    if (st == RETS_OK) st = rets_set_option(r, "keys", "config:*");
    if (st == RETS_OK) st = rets_set_option(r, "exclude-keys", "config:secret:*");
    if (st == RETS_OK) st = rets_set_callback(r, small_strings_only, NULL);
    if (st == RETS_OK) st = rets_start(r);
    if (st == RETS_OK) st = rets_wait_ready(r, 10000);
    if (st == RETS_OK) st = print_all(r);
    info.struct_size = sizeof info;
    if (st == RETS_OK) st = rets_info(r, &info);
    if (st == RETS_OK)
        printf("%llu keys kept, %llu withheld by the callback\n", (unsigned long long)info.keys,
               (unsigned long long)info.ghosts);
    else
        fprintf(stderr, "%s: %s\n", rets_strerror(st), rets_last_error());
    rets_free(r);
    return st != RETS_OK;
}
