/* floor PORT: what a waiter must do at least. It connects to 127.0.0.1:PORT as often as waitgate does while the port
 * refuses, looks at the outcome, and sleeps: four system calls and a sleep for each attempt. It has no names, log, time
 * limit or reasons. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* waitgate makes 107 to 110 attempts in 20 s. */
    struct timespec pause = {.tv_nsec = 184 * 1000 * 1000};
    for (;;) {
        int error = 0, socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof error;
        connect(socket_, (struct sockaddr *)&to, sizeof to);
        getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0)
            return 0;
        close(socket_);
        nanosleep(&pause, NULL);
    }
}
