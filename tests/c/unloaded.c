/* The library, loaded by name and closed while a thread that has used it lives on: the thread's end
 * must find its code still there. argv[1] is the library. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *library;
static pthread_barrier_t used, closed;

static void *user(void *unused) {
    int (*new_handle)(const char *, void **);
    void (*free_handle)(void *);
    void *handle = NULL, *none = NULL;
    (void)unused;
    *(void **)&new_handle = dlsym(library, "rets_new");
    *(void **)&free_handle = dlsym(library, "rets_free");
    if (new_handle == NULL || new_handle("redis://127.0.0.1:1", &handle) != 0)
        return (void *)"no handle";
    if (new_handle("nonsense", &none) == 0) return (void *)"nonsense taken";
    free_handle(handle);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    void *complaint = NULL;
    if (argc < 2) return 2;
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    pthread_create(&thread, NULL, user, NULL);
    pthread_barrier_wait(&used);
    dlclose(library);
    pthread_barrier_wait(&closed);
    pthread_join(thread, &complaint);
    if (complaint != NULL) printf("%s\n", (const char *)complaint);
    return complaint != NULL;
}
