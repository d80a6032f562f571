/* listen.c - plays the service manager: binds a datagram socket, and writes what it hears into a file
 *
 *     listen SOCKET FILE         one line for each line of a datagram; until it is ended
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path) {
        fputs("usage: listen SOCKET FILE\n", stderr);
        return 64;
    }
    strcpy(address.sun_path, argv[1]);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(argv[1]);
        return 71;
    }
    FILE *file = fopen(argv[2], "a");
    if (!file) {
        perror(argv[2]);
        return 73;
    }
    char text[4096];
    for (ssize_t size; (size = recv(fd, text, sizeof text, 0)) > 0;) {
        fprintf(file, "%.*s\n", (int)size, text);
        fflush(file);
    }
    return 0;
}
