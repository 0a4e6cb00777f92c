/* The machine of one validator, as a file of two numbers says: by how many milliseconds its wall clock is wrong, and
   how many microseconds each sync of a file takes longer. Loaded before the C library. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const long long *machine;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("MACHINE"), O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || at == MAP_FAILED)
        abort();
    close(file);
    machine = at;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && id == CLOCK_REALTIME && machine)
        at->tv_sec += machine[0] / 1000;
    return failed;
}

static void wait_longer(void) {
    /* In short sleeps: a disk that is well again lets those go that wait for it. */
    for (long long waited = 0; machine && waited < machine[1]; waited += 1000)
        usleep(1000);
}

int fsync(int file) {
    wait_longer();
    return syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_longer();
    return syscall(SYS_fdatasync, file);
}
