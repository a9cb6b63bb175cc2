/* What ti_status() gives: nothing before there is a client, then all that the library knows of itself; as much of it as there
 * is room for; and in a child of a fork, the child's own. What ti_reload() gives. Prints the text of this process when it
 * has counted three spans. */
#include "clients.h"
#include "../../resolver/librdkafka/include/tracer_interceptors.h"
#include <sys/wait.h>
#include <unistd.h>

static char text[1 << 20];

/* Spans are counted a moment after their messages were acknowledged. */
static void wait_for(const char *what) {
    for (int i = 0; i < 2000 && !strstr(text, what); i++) {
        MUST(ti_status(text, sizeof text) < sizeof text);
        usleep(10000);
    }
    MUST(strstr(text, what));
}

int main(int count, char **words) {
    char part[16];
    MUST(ti_status(part, sizeof part) == 0 && part[0] == '\0');
    MUST(ti_reload() == 0);
    rd_kafka_t *by = producer();
    for (int i = 0; i < 3; i++) send_to(by, "orders", "v");
    send_to(by, "strange", "v");
    MUST(!rd_kafka_flush(by, 30000));
    wait_for("\"spans\":3");
    /* The file says what it said: that is in effect. */
    MUST(ti_reload() == 1);
    memset(part, 'x', sizeof part);
    MUST(ti_status(part, sizeof part) >= sizeof part && strlen(part) == sizeof part - 1);
    MUST(ti_status(NULL, 0) > 0);
    puts(text);
    fflush(stdout);
    if (count > 1 && !strcmp(words[1], "fork")) {
        pid_t child = fork();
        if (!child) {
            rd_kafka_t *own = producer();
            send_to(own, "orders", "v");
            MUST(!rd_kafka_flush(own, 30000));
            text[0] = '\0';
            wait_for("\"spans\":1");
            rd_kafka_destroy(own);
            exit(0);
        }
        int status;
        MUST(waitpid(child, &status, 0) == child && status == 0);
    }
    rd_kafka_destroy(by);
    return 0;
}
