/* Sends five messages and ends, or seems to, in one of many ways. */
#include "../c/clients.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *how = "";
static rd_kafka_t *shop;

static void send_five(void) {
    for (int number = 0; number < 5; number++) send_to(shop, "orders", "an order");
    flushed(shop);
}

/* Made before main, so its destructor runs after all handlers that are registered later. */
static struct Late {
    ~Late() {
        if (strcmp(how, "static") && strcmp(how, "static, exit")) return;
        send_five();
        rd_kafka_destroy(shop);
    }
} late;

/* Called by the dynamic linker, when all handlers have run. */
__attribute__((destructor)) static void unloaded(void) {
    if (!strcmp(how, "destructor")) send_five();
}

/* Registered before any client is there, and so before any handler of ours. */
static void registered_early(void) {
    send_five();
}

/* Its destructor runs before those of keys. */
struct OfThread {
    bool sends = false;
    ~OfThread() {
        if (sends) send_to(shop, "orders", "from an object of a thread");
    }
};
static thread_local OfThread of_thread;

static pthread_key_t key;

static void send_from_destructor(void *) {
    send_to(shop, "orders", "from a destructor");
}

static void *send_twice(void *) {
    MUST(!pthread_setspecific(key, shop));
    if (!strcmp(how, "threads, objects")) of_thread.sends = true;
    if (strcmp(how, "threads, only then")) send_to(shop, "orders", "from a thread");
    return NULL;
}

static void threads(void) {
    MUST(!pthread_key_create(&key, send_from_destructor));
    int count = strcmp(how, "threads, only then") ? 10 : 1500;
    for (int number = 0; number < count; number++) {
        pthread_t thread;
        MUST(!pthread_create(&thread, NULL, send_twice, NULL));
        MUST(!pthread_join(thread, NULL));
    }
    flushed(shop);
}

static void raise_again(int number) {
    signal(number, SIG_DFL);
    raise(number);
}

static int other_thread = 0;

static void *wait_for_the_end(void *) {
    __atomic_store_n(&other_thread, gettid(), __ATOMIC_RELEASE);
    for (;;) pause();
}

static void *end_while_cancelled(void *arguments) {
    char **next = (char **)arguments;
    MUST(!pthread_cancel(pthread_self()));
    if (!strcmp(how, "cancelled, exit")) exit(3);
    if (!strcmp(how, "cancelled, _exit")) _exit(3);
    if (!strcmp(how, "cancelled, raise")) raise(SIGTERM);
    if (!strcmp(how, "cancelled, execve")) execve(next[0], next, environ);
    return NULL;
}

static void end_this_thread(int) {
    pthread_exit(NULL);
}

static void *end_by_own_signal(void *) {
    signal(SIGUSR1, end_this_thread);
    if (!strcmp(how, "thread, raise")) raise(SIGUSR1);
    abort();
}

/* So many arguments that some are on the stack. */
#define MANY "again", "1", "2", "3", "4", "5", "6", "7", (char *)NULL

int main(int count, char **arguments) {
    MUST(count >= 2);
    how = arguments[1];
    if (!strcmp(how, "again")) {
        for (int number = 2; number < count; number++) MUST(atoi(arguments[number]) == number - 1);
        return count == 2 || count == 9 ? 3 : 4;
    }
    if (!strcmp(how, "atexit")) MUST(!atexit(registered_early));
    shop = producer();
    char again[] = "again";
    char *const next[] = {arguments[0], again, NULL};
    if (!strncmp(how, "threads", 7)) {
        threads();
        return 3;
    }
    send_five();
    if (!strcmp(how, "raise")) raise(SIGTERM);
    if (!strcmp(how, "kill")) kill(getpid(), SIGTERM);
    if (!strcmp(how, "kill, hard")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "kill the group")) kill(0, SIGTERM);
    if (!strcmp(how, "kill the named group")) kill(-getpgrp(), SIGTERM);
    if (!strcmp(how, "killpg")) killpg(getpgrp(), SIGTERM);
    if (!strncmp(how, "cancelled", 9)) {
        pthread_t thread;
        MUST(!pthread_create(&thread, NULL, end_while_cancelled, (void *)next));
        MUST(!pthread_join(thread, NULL));
        return 4;
    }
    if (!strncmp(how, "thread, ", 8)) {
        pthread_t thread;
        MUST(!pthread_create(&thread, NULL, end_by_own_signal, NULL));
        MUST(!pthread_join(thread, NULL));
        return 3;
    }
    if (!strcmp(how, "sigqueue")) sigqueue(getpid(), SIGTERM, sigval{});
    if (!strcmp(how, "tgkill")) tgkill(getpid(), gettid(), SIGTERM);
    if (!strcmp(how, "tgkill another")) {
        pthread_t thread;
        MUST(!pthread_create(&thread, NULL, wait_for_the_end, NULL));
        while (!__atomic_load_n(&other_thread, __ATOMIC_ACQUIRE)) usleep(1000);
        tgkill(getpid(), other_thread, SIGTERM);
        for (;;) pause();
    }
    if (!strcmp(how, "handler")) {
        signal(SIGTERM, raise_again);
        raise(SIGTERM);
    }
    if (!strcmp(how, "blocked")) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        raise(SIGTERM);
        send_five();
        return 3;
    }
    if (!strcmp(how, "handled")) {
        signal(SIGTERM, SIG_IGN);
        raise(SIGTERM);
        return 3;
    }
    if (!strcmp(how, "execve")) execve(arguments[0], next, environ);
    if (!strcmp(how, "execv")) execv(arguments[0], next);
    if (!strcmp(how, "execvp")) execvp(arguments[0], next);
    if (!strcmp(how, "execvpe")) execvpe(arguments[0], next, environ);
    if (!strcmp(how, "fexecve")) fexecve(open(arguments[0], O_RDONLY), next, environ);
    if (!strcmp(how, "execveat")) execveat(AT_FDCWD, arguments[0], next, environ, 0);
    if (!strcmp(how, "execl")) execl(arguments[0], arguments[0], MANY);
    if (!strcmp(how, "execlp")) execlp(arguments[0], arguments[0], MANY);
    if (!strcmp(how, "execle")) {
        char *empty[] = {NULL};
        execle(arguments[0], arguments[0], MANY, empty);
    }
    if (!strcmp(how, "execl in vain")) {
        MUST(execl("/nowhere/at/all", arguments[0], MANY) == -1 && errno == ENOENT);
        send_five();
        return 3;
    }
    if (!strcmp(how, "execve in vain")) {
        MUST(execv("/nowhere/at/all", next) == -1);
        send_five();
        return 3;
    }
    if (!strcmp(how, "children")) {
        pid_t forked = fork();
        if (!forked) execv(arguments[0], next);
        int status = -1;
        MUST(waitpid(forked, &status, 0) == forked && WEXITSTATUS(status) == 3);
        pid_t sharing = vfork();
        if (!sharing) execv(arguments[0], next);
        MUST(waitpid(sharing, &status, 0) == sharing && WEXITSTATUS(status) == 3);
        sharing = vfork();
        if (!sharing) execl(arguments[0], arguments[0], MANY);
        MUST(waitpid(sharing, &status, 0) == sharing && WEXITSTATUS(status) == 3);
        forked = fork();
        if (!forked) exit(3);
        MUST(waitpid(forked, &status, 0) == forked && WEXITSTATUS(status) == 3);
        forked = fork();
        if (!forked) raise(SIGTERM);
        MUST(waitpid(forked, &status, 0) == forked && WTERMSIG(status) == SIGTERM);
        send_five();
        return 3;
    }
    if (!strcmp(how, "quick_exit")) quick_exit(3);
    if (!strcmp(how, "static, exit")) exit(3);
    if (!strcmp(how, "_exit")) _exit(3);
    if (!strcmp(how, "closed")) {
        sleep(1);
        send_five();
        rd_kafka_destroy(shop);
        sleep(3);
        _exit(3);
    }
    return 3;
}
