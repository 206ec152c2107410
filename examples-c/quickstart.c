/* The shortest useful program, and then some: a replica of a Redis or Valkey server inside this
 * process, with a callback that sees every change and skips one kind of key.
 *
 *     quickstart [URL]        redis://127.0.0.1:6379 unless told otherwise
 *
 * It shows the first sync, a few lookups, and then live changes until somebody does
 *
 *     redis-cli SET demo:end 1
 */

#include <rets.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static volatile int ended; /* set by the callback, read by main: good enough for a flag */

static int begins_with(const rets_event *e, const char *text) {
    size_t len = strlen(text);
    return e->key_len >= len && memcmp(e->key, text, len) == 0;
}

static const char *verb(rets_event_kind kind) {
    switch (kind) {
    case RETS_EVENT_SET:         return "set";
    case RETS_EVENT_EDIT:        return "edit";
    case RETS_EVENT_DEL:         return "delete";
    case RETS_EVENT_EXPIRE:      return "expire";
    case RETS_EVENT_HASH_SET:    return "set field";
    case RETS_EVENT_HASH_DEL:    return "delete field";
    case RETS_EVENT_HASH_EXPIRE: return "expire field";
    default:                     return "change";
    }
}

/* Sees each change before it happens, on the engine's own thread. */
static int on_change(void *user, const rets_event *e) {
    int skip = begins_with(e, "tmp:");
    (void)user;
    if (e->phase != RETS_PHASE_INITIAL) {
        printf("  %s %.*s", verb(e->kind), (int)e->key_len, (const char *)e->key);
        if (e->field != NULL)
            printf(" . %.*s", (int)e->field_len, (const char *)e->field);
        if (e->value != NULL)
            printf(" = %.*s", (int)e->value_len, (const char *)e->value);
        printf("%s\n", skip ? "   (skipped)" : "");
        fflush(stdout);
    }
    if (e->kind == RETS_EVENT_SET && begins_with(e, "demo:end"))
        ended = 1;
    return skip ? RETS_SKIP : RETS_KEEP;
}

/* Hears where the engine is in its life. */
static void on_state(void *user, const rets_info_t *info) {
    (void)user;
    switch (info->event) {
    case RETS_LIFE_CONNECTING:
        printf("connecting to %s\n", info->primary);
        break;
    case RETS_LIFE_SYNC_BEGUN:
        printf("full sync begins\n");
        break;
    case RETS_LIFE_PROGRESS:
        printf("  %llu keys, %lld bytes so far\n", (unsigned long long)info->loaded_keys,
               (long long)info->loaded_bytes);
        break;
    case RETS_LIFE_READY:
        printf("ready: following %s %s at offset %lld, %llu keys\n", info->server_kind,
               info->server_version, (long long)info->offset, (unsigned long long)info->keys);
        break;
    case RETS_LIFE_LINK_LOST:
        printf("link lost: %s\n", info->last_error_text);
        break;
    default:
        break;
    }
    fflush(stdout);
}

static void look_up(const rets_t *r, const char *key) {
    char buf[256];
    size_t len;
    rets_status st = rets_get(r, 0, key, strlen(key), buf, sizeof buf, &len);
    if (st == RETS_OK)
        printf("%s = %.*s\n", key, (int)len, buf);
    else
        printf("%s: %s\n", key, rets_strerror(st));
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "redis://127.0.0.1:6379";
    struct timespec tick = {0, 20000000};
    rets_t *r = NULL;
    rets_status st = rets_new(url, &r);
    if (st == RETS_OK) st = rets_set_option(r, "max-memory", "512mb");
    if (st == RETS_OK) st = rets_set_callback(r, on_change, NULL);
    if (st == RETS_OK) st = rets_set_state_callback(r, on_state, NULL);
    if (st == RETS_OK) st = rets_start(r); /* returns at once: the engine's own threads work */
    if (st == RETS_OK) st = rets_wait_ready(r, 30000);
    if (st != RETS_OK) {
        fprintf(stderr, "%s: %s\n", rets_strerror(st), rets_last_error());
        rets_free(r);
        return 1;
    }

    look_up(r, "greeting");
    look_up(r, "tmp:1"); /* the callback skipped it: withheld, which is not the same as not found */
    printf("live changes, until demo:end is set:\n");
    fflush(stdout);
    while (!ended)
        nanosleep(&tick, NULL);
    look_up(r, "greeting");
    rets_free(r); /* stops, joins, forgets */
    return 0;
}
